"""The generated web: repeatable, whole, and every defect planted where it can be found."""

from collections import Counter
from urllib.parse import urlsplit

import pytest

from filters.caption import CaptionRules, judge_caption
from filters.contact import ContactRules, judge_contact
from filters.image import ImageRules
from filters.reasons import Drop, Reason
from filters.url import normalise_url
from pipeline.demo.answers import ANSWERS, answer
from pipeline.demo.hosts import HOSTS
from pipeline.demo.kinds import BY_NAME, KEPT, KINDS
from pipeline.demo.markup import STYLES
from pipeline.demo.plan import plan_items
from pipeline.demo.settings import DemoSettings
from pipeline.demo.truth import search_truth, truth, uid_of_url
from pipeline.demo.web import build_web, connect_to, page_body, seeds
from transforms.html.page import HtmlSettings, found_captions, read_page
from transforms.image.process import ImageSettings, process_image
from transforms.web.settings import WebSettings

SMALL = DemoSettings(pages=100)
WHOLE = DemoSettings()
DECODED = ImageSettings(rules=ImageRules(min_side=200))


def test_the_same_seed_gives_the_same_web_and_another_seed_another():
    first, again = (plan_items(SMALL) for _ in range(2))
    assert first == again
    assert truth(SMALL).equals(truth(SMALL))
    other = plan_items(DemoSettings(pages=100, seed=1))
    assert not {item.url for item in first} & {item.url for item in other}
    urls = list(build_web(SMALL).pages)
    bodies = [page_body(page) for page in build_web(SMALL).pages.values()]
    build_web.cache_clear()
    assert urls == list(build_web(SMALL).pages)
    assert bodies == [page_body(page) for page in build_web(SMALL).pages.values()]


def test_the_web_is_as_large_as_promised():
    web = build_web(WHOLE)
    assert len(web.pages) == WHOLE.pages
    assert 2_300 <= len(web.items) <= 2_700
    assert 3_600 <= sum(len(page.images) for page in web.pages.values()) <= 4_400


@pytest.mark.parametrize("settings", [SMALL, WHOLE], ids=["small", "whole"])
def test_every_kind_is_planted_with_its_fate(settings):
    counts = Counter(truth(settings)["kind"].to_pylist())
    assert set(counts) == set(BY_NAME)
    assert counts["clean"] > 0.4 * sum(counts.values())
    for row in truth(settings).to_pylist():
        assert row["fate"] == BY_NAME[row["kind"]].fate


def test_the_whole_web_has_several_of_each_defect():
    counts = Counter(truth(WHOLE)["kind"].to_pylist())
    few = {kind: number for kind, number in counts.items() if number < 6 and kind not in ("slow_body", "silent")}
    assert not few


def test_fates_are_reasons():
    assert {kind.fate for kind in KINDS} <= {*Reason, KEPT}


@pytest.mark.parametrize("settings", [SMALL, WHOLE], ids=["small", "whole"])
def test_every_occurrence_stands_on_one_page(settings):
    web = build_web(settings)
    placed = Counter((item.url, number) for page in web.pages.values() for item, number in page.images)
    assert placed == Counter((item.url, n) for item in web.items.values() for n in range(len(item.texts)))


@pytest.mark.parametrize("settings", [SMALL, WHOLE], ids=["small", "whole"])
def test_every_page_is_two_links_from_a_seed(settings):
    web = build_web(settings)
    seen = set(seeds(settings))
    for _ in range(2):
        seen |= {url for at in seen & set(web.pages) for url, _ in (*web.pages[at].nav, *web.pages[at].links)}
    assert set(web.pages) <= seen


def test_only_the_planted_text_repeats_too_often():
    texts = Counter(text for item in build_web(WHOLE).items.values() for text in {t.text for t in item.texts} - {""})
    often = {text for text, number in texts.items() if number > 10}
    assert often == {"One of the drawings from our little collection"}


def test_urls_are_in_normal_form_so_that_the_truth_finds_them():
    for url in (*build_web(SMALL).items, *build_web(SMALL).pages):
        assert normalise_url(url) == url


def test_search_truth_knows_what_pictures_show():
    rows = truth(SMALL).to_pylist()
    wanted = {row["uid"] for row in rows if (row["shape"], row["colour"]) == (rows[0]["shape"], rows[0]["colour"])}
    assert search_truth(SMALL, rows[0]["shape"], rows[0]["colour"]) == wanted
    assert uid_of_url(rows[0]["url"]) in wanted


def test_every_mark_up_shows_the_planted_url_and_text():
    """Read by the pipeline's own reader: what stands on a page is what was planned, once at least."""
    styles = set()
    for page in build_web(SMALL).pages.values():
        read = read_page(page_body(page).decode(page.host.charset), page.url, HtmlSettings())
        found = {(caption.url, caption.text) for caption in found_captions(read)}
        assert found == {(item.url, item.texts[number].text) for item, number in page.images}
        if page.images:
            styles.add(page.host.style)
    assert styles == set(STYLES)


def test_links_lead_where_the_plan_says():
    for page in build_web(SMALL).pages.values():
        read = read_page(page_body(page).decode(page.host.charset), page.url, HtmlSettings())
        planned = {url for url, _ in (*page.nav, *page.links) if url.startswith("http")}
        assert set(read.links) == {normalise_url(url) for url in planned}


def test_defects_of_texts_fall_for_their_own_reason():
    for item in build_web(WHOLE).items.values():
        drop = judge_caption(item.texts[0].text, CaptionRules()) or judge_contact(item.texts[0].text, ContactRules())
        planned = BY_NAME[item.kind].fate
        mine = planned.startswith("caption_") and planned != "caption_repeated"
        assert (drop.reason if drop else None) == (planned if mine else None), item.texts[0]


DECODING = ("format_not_allowed", "empty_body", "image_too_small", "aspect_too_extreme", "not_an_image",
            "too_many_pixels", "truncated")  # fmt: skip


@pytest.mark.parametrize("pages", [100, 300])
def test_defects_of_bodies_fall_for_their_own_reason(pages):
    seen = set()
    for item in build_web(DemoSettings(pages=pages)).items.values():
        if item.kind in seen:
            continue
        seen.add(item.kind)
        kind = BY_NAME[item.kind]
        reply = ANSWERS[kind.answer](item, "")
        if reply.status != 200:
            continue
        result = process_image(reply.body, DECODED)
        assert (str(result.reason) if isinstance(result, Drop) else None) == (
            kind.fate if kind.fate in DECODING else None
        )


def test_thumbnails_and_strangers_are_answered():
    web = build_web(SMALL)
    item = next(iter(web.items.values()))
    parts = urlsplit(item.url)
    assert answer(web, parts.netloc, "/thumb" + parts.path).status == 200
    assert answer(web, parts.netloc, "/no/such/thing").status == 404
    assert answer(web, "other.test", "/").status == 421


def test_names_are_reserved_and_reachable():
    assert all(host.name.endswith(".demo.test") for host in HOSTS)
    settings = WebSettings(connect_to=connect_to(SMALL, 8_123))
    for host in HOSTS:
        assert settings.named_address(host.name, 80) == ("127.0.0.1", 8_123)
