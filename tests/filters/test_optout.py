"""The ways in which the web says no."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.optout import (
    OPT_OUT_TOKENS,
    judge_headers,
    judge_meta,
    judge_tdm,
    parse_tdmrep,
    says_nofollow,
    tdm_reserved,
)
from filters.reasons import Reason

AGENTS = ("Pairmill", "CCBot", "GPTBot", "Google-Extended", "img2dataset")

HEADERS = [
    *(([token], True) for token in sorted(OPT_OUT_TOKENS)),
    *(([token.upper()], True) for token in sorted(OPT_OUT_TOKENS)),
    ([], False),
    ([""], False),
    ([" , ,"], False),
    (["all"], False),
    (["index, follow"], False),
    (["nofollow, nosnippet, noarchive"], False),
    (["nofollow,noai"], True),
    (["nofollow", "noimageai"], True),
    (["noai, otherbot: noindex"], True),
    (["otherbot: noindex, noai"], False),
    (["otherbot: noindex", "noai"], True),
    (["otherbot: noindex, gptbot: noai"], True),
    (["otherbot: noindex, nofollow"], False),
    (["pairmill: noai"], True),
    (["PAIRMILL: NoImageAI"], True),
    (["Google-Extended: none"], True),
    (["img2dataset:noai"], True),
    (["CCBot/2.0: noml"], True),
    (["ccbotx: noml"], False),
    (["*: noindex"], True),
    (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], True),
    (["unavailable_after: Saturday, 25-Jun-30 15:00:00 PST, noai"], True),
    (["unavailable_after: Sat, 25 Jun 2030 15:00:00 GMT, noindex"], True),
    (["unavailable_after: 25 Jun 2030 15:00:00 PST"], False),
    (["unavailable_after: Sat, Jun 25, 2030 15:00:00, nofollow"], False),
    (["unavailable_after: 2030-06-25T15:00:00+00:00, noai"], True),
    (["otherbot: unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], False),
    (["otherbot: nofollow, pairmill: unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], True),
    (["max-snippet: 10, noai"], True),
    (["max-image-preview:large, noai"], True),
    (["max-image-preview: none"], False),
    (["max-snippet: -1, max-video-preview:0, max-image-preview:standard"], False),
    (["googlebot: max-snippet: 10, noai"], False),
    (["noai noimageai"], True),
    (["nofollow; noai"], True),
    (["max-image-preview:large; noai"], True),
    (["max-image-preview: none; max-snippet: -1"], False),
    (["unavailable_after: 25 Jun 2030 15:00:00 PST; noindex"], True),
    (["noaix, xnoai"], False),
]


@pytest.mark.parametrize(("values", "dropped"), HEADERS)
def test_x_robots_tag(values, dropped):
    drop = judge_headers(values, AGENTS)
    assert (drop is not None) is dropped
    assert drop is None or drop.reason is Reason.OPT_OUT


def test_the_detail_names_token_agent_and_place():
    assert judge_headers(["GPTBot: NoAI"], AGENTS).detail == "gptbot: noai in X-Robots-Tag"
    assert judge_meta([("Robots", "nofollow, NoAI")], AGENTS).detail == "noai in meta robots"
    assert judge_meta([("CCBOT", "none")], AGENTS).detail == "ccbot: none in meta ccbot"


@pytest.mark.parametrize(
    ("pairs", "dropped"),
    [
        ([("robots", "noindex")], True),
        ([("ROBOTS", " NOAI , nofollow ")], True),
        ([("pairmill", "noimageai")], True),
        ([("googlebot", "noindex")], False),
        ([("description", "noindex")], False),
        ([("robots", "index,follow"), ("robots", "noml")], True),
        ([("robots", "max-image-preview:none")], False),
        ([("robots", "max-image-preview:large;noai")], True),
        ([("description", "pairmill: noai")], False),
        ([], False),
    ],
)
def test_meta(pairs, dropped):
    assert (judge_meta(pairs, AGENTS) is not None) is dropped


@pytest.mark.parametrize(
    ("values", "metas", "says"),
    [
        ([], [("robots", "nofollow")], True),
        ([], [("robots", "noindex, NoFollow")], True),
        ([], [("robots", "index;nofollow")], True),
        ([], [("robots", "noarchive nofollow")], True),
        ([], [("ROBOTS", "none")], True),
        ([], [("Pairmill", "nofollow")], True),
        ([], [("gptbot", "noarchive; nofollow")], True),
        ([], [("robots", "gptbot: nofollow")], True),
        ([], [("robots", "max-snippet:-1; nofollow")], True),
        ([], [("robots", "unavailable_after: Sat, Jun 25, 2030 15:00:00, nofollow")], True),
        ([], [("googlebot", "nofollow")], False),
        ([], [("description", "pairmill: nofollow")], False),
        ([], [("robots", "follow, max-image-preview:none, noindex")], False),
        (["nofollow"], [], True),
        (["noimageindex; nofollow"], [], True),
        (["all", "PAIRMILL: none"], [], True),
        (["otherbot: nofollow"], [("robots", "all")], False),
        (["noindex, noai"], [], False),
        ([], [], False),
    ],
)
def test_nofollow(values, metas, says):
    assert says_nofollow(values, metas, AGENTS) is says


@given(st.text(max_size=80))
def test_any_header_is_judged(value):
    drop = judge_headers([value], AGENTS)
    assert drop is None or any(token in value.lower() for token in OPT_OUT_TOKENS)


@given(st.lists(st.sampled_from(["nofollow", "all", "max-snippet:5", "noarchive"]), max_size=4), st.data())
def test_a_token_counts_wherever_it_stands(others, data):
    place = data.draw(st.integers(0, len(others)))
    value = ", ".join([*others[:place], "noai", *others[place:]])
    assert judge_headers([value], AGENTS) is not None


def tdmrep(*entries) -> bytes:
    return json.dumps([dict(entry) for entry in entries]).encode()


RESERVED = {"location": "/", "tdm-reservation": 1, "tdm-policy": "https://a.example/policy"}
OPEN_FOLDER = {"location": "/open/*", "tdm-reservation": 0}


@pytest.mark.parametrize(
    ("path", "header", "meta", "reserved"),
    [
        ("/a.jpg", None, None, True),
        ("/open/a.jpg", None, None, False),
        ("/a.jpg", "0", None, False),
        ("/open/a.jpg", "1", None, True),
        ("/a.jpg", "0", "1", True),
        ("/open/a.jpg", "1", "0", False),
        ("/a.jpg", "yes", "", True),
        ("/a.jpg", " 0 ", None, False),
    ],
)
def test_tdm_the_later_overrides(path, header, meta, reserved):
    rules = parse_tdmrep(tdmrep(OPEN_FOLDER, RESERVED))
    assert tdm_reserved(rules, path, header, meta) is reserved
    assert tdm_reserved(rules[::-1], path, header, meta) is reserved


def test_tdm_locations_are_patterns():
    rules = parse_tdmrep(tdmrep({"location": "/images/*.jpg$", "tdm-reservation": 1}))
    assert tdm_reserved(rules, "/images/a.jpg")
    assert not tdm_reserved(rules, "/images/a.jpg?x")
    assert not tdm_reserved(rules, "/other.jpg")


def test_tdm_detail_names_the_place():
    rules = parse_tdmrep(tdmrep(RESERVED))
    assert judge_tdm(None, None, rules, "/a").detail == "tdm-reservation in tdmrep.json"
    assert judge_tdm("1", None).detail == "tdm-reservation in header"
    assert judge_tdm("1", "1").detail == "tdm-reservation in meta"
    assert judge_tdm("0", None, rules, "/a") is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[1, 2, {}]",
        b'[{"location": 5, "tdm-reservation": 1}]',
        b'[{"location": "/", "tdm-reservation": 2}]',
        b'[{"location": "/", "tdm-reservation": true}]',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_broken_tdmrep_files_have_no_rules(body):
    assert parse_tdmrep(body) == ()


def test_a_byte_order_mark_and_a_single_entry_are_read():
    assert parse_tdmrep(b"\xef\xbb\xbf" + json.dumps(RESERVED).encode())[0].reserved
