"""Each planted answer, asked by the pipeline's own client, falls for its own reason."""

import asyncio

import pytest

from filters.image import ImageRules
from filters.reasons import Drop, Reason
from pipeline.demo.kinds import BY_NAME, KEPT
from pipeline.demo.server import serve_demo
from pipeline.demo.settings import DemoSettings
from pipeline.demo.web import build_web, connect_to
from transforms.image.process import ImageSettings, process_image
from transforms.web.polite import PoliteWeb
from transforms.web.settings import Pace, Timeouts, WebSettings

SETTINGS = DemoSettings(pages=100)
LATER = ("exact_duplicate", "near_duplicate", "score_too_low", "language")  # and what is said of captions and pages
DECODED = ImageSettings(rules=ImageRules(min_side=200))


def web_settings(port):
    return WebSettings(
        connect_to=connect_to(SETTINGS, port),
        timeouts=Timeouts(connect_s=2, read_s=2, total_s=2),
        images=Pace(at_once=4, gap_s=0),
        pages=Pace(at_once=4, gap_s=0),
        retries=0,
    )


@pytest.fixture(scope="module")
def fates(tmp_path_factory):
    """kind → fate of its first image, as fetch would find it."""
    first = {}
    for item in build_web(SETTINGS).items.values():
        first.setdefault(item.kind, item)
    with serve_demo(SETTINGS, tmp_path_factory.mktemp("asked") / "log") as address:
        answers = asyncio.run(_ask(web_settings(int(address.rpartition(":")[2])), [i.url for i in first.values()]))
    return dict(zip(first, map(_fate, answers), strict=True))


async def _ask(settings, urls):
    async with PoliteWeb(settings) as web:
        return await asyncio.gather(*(web.ask(url, kind="image") for url in urls))


def _fate(answer):
    found = answer.drop or process_image(answer.body, DECODED)
    return found.reason if isinstance(found, Drop) else KEPT


@pytest.mark.parametrize("kind", BY_NAME)
def test_an_answer_falls_for_its_own_reason(kind, fates):
    planned = BY_NAME[kind].fate
    of_others = planned in LATER or planned.startswith("caption_") or planned == Reason.PAGE_OPT_OUT
    assert fates[kind] == (KEPT if of_others else planned)
