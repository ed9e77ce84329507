"""The demo's web: every page and every image url, planned from a seed. What it is made of never leaves this folder."""

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from pipeline.demo.hosts import BY_NAME as HOSTS_BY_NAME
from pipeline.demo.hosts import PAGE_HOSTS, REFUSING_HOSTS, Host
from pipeline.demo.kinds import BY_NAME, KEPT
from pipeline.demo.markup import Links, Shown, page_html
from pipeline.demo.plan import Item, plan_items
from pipeline.demo.settings import DemoSettings

PORT = 80  # of the urls; where the server really listens is `connect_to`'s
ITEMS_PER_LIST = 20
REFUSED_PAGES = 3  # on each host that refuses us
OPT_OUT_METAS = {
    "meta": '<meta name="robots" content="noai, noimageai">',
    "scoped_meta": '<META NAME="Pairmill" CONTENT="NOINDEX">',
    "tdm": '<meta name="tdm-reservation" content="1">',
    "other_bot": '<meta name="otherbot" content="noai, noindex">',
}
OPT_OUT_HEADERS = {"header": ("X-Robots-Tag", "noimageindex, nofollow")}


class Page(NamedTuple):
    """A page of the web before it is written out."""

    url: str
    host: Host
    title: str
    images: tuple[tuple[Item, int], ...]  # the item, and which of its texts stands here
    nav: tuple[tuple[str, str], ...]  # (url, words)
    links: tuple[tuple[str, str], ...]
    says: str  # how it opts out, or ""


class Web(NamedTuple):
    """All of it, by url."""

    pages: dict[str, Page]
    items: dict[str, Item]


@lru_cache(maxsize=4)
def build_web(settings: DemoSettings) -> Web:
    """The web of these settings. Raises nothing; the same settings give the same web."""
    items = plan_items(settings)
    rng = random.Random(f"web {settings.seed} {settings.pages}")
    pages: dict[str, Page] = {}
    counts = _pages_per_host(settings.pages - REFUSED_PAGES * len(REFUSING_HOSTS))
    numbers = {host.name: _item_numbers(counts[host.name]) for host in PAGE_HOSTS}
    shown = _distribute(items, numbers, rng)
    for host in PAGE_HOSTS:
        for page in _site(host, numbers[host.name], shown):
            pages[page.url] = page
    for name in REFUSING_HOSTS:
        pages.update((page.url, page) for page in _refused_site(HOSTS_BY_NAME[name]))
    return Web(pages, {item.url: item for item in items})


def seeds(settings: DemoSettings) -> list[str]:
    """The urls that a crawl starts from: the front pages; every page is at most two links away."""
    return [f"http://{host.name}/" for host in PAGE_HOSTS] + [f"http://{name}/" for name in REFUSING_HOSTS]


def connect_to(settings: DemoSettings, port: int) -> dict[str, str]:
    """The setting `web.connect_to` that leads the demo's names to a server on this machine."""
    return {f"*.demo.test:{PORT}": f"127.0.0.1:{port}"}


def page_body(page: Page) -> bytes:
    """The page as sent, in its host's charset."""
    shown = [
        Shown(item.url, item.texts[number].text, item.scene, BY_NAME[item.kind].fate == KEPT)
        for item, number in page.images
    ]
    metas = [OPT_OUT_METAS[page.says]] if page.says in OPT_OUT_METAS else []
    html = page_html(page.host.style, page.host.name, page.title, shown, Links(page.nav, page.links), metas)
    return html.encode(page.host.charset)


def _pages_per_host(pages: int) -> dict[str, int]:
    """Shares by weight; the first host takes what rounding left."""
    total = sum(host.weight for host in PAGE_HOSTS)
    counts = {host.name: pages * host.weight // total for host in PAGE_HOSTS}
    counts[PAGE_HOSTS[0].name] += pages - sum(counts.values())
    return counts


def _item_numbers(pages: int) -> range:
    """A host's pages are a front page, lists, and pages with pictures: the numbers of the last."""
    lists = -(-(pages - 1) // (ITEMS_PER_LIST + 1))
    return range(1, pages - lists)


Place = tuple[str, int]  # host, page number
Shows = dict[Place, tuple[list[tuple[Item, int]], str]]  # images with the number of their text; how the page opts out


def _distribute(items: Sequence[Item], numbers: dict[str, range], rng: random.Random) -> Shows:
    """Which images stand on which page."""
    places = [(host, number) for host, span in numbers.items() for number in span]
    rng.shuffle(places)
    shown: Shows = {}
    apart: dict[str, list[Item]] = {}
    for item in items:
        if says := BY_NAME[item.kind].page:
            apart.setdefault(says, []).append(item)
    for says, members in apart.items():
        for first in range(0, len(members), 2):
            shown[places.pop()] = ([(item, 0) for item in members[first : first + 2]], says)
    occurrences = [(item, n) for item in items if not BY_NAME[item.kind].page for n in range(len(item.texts))]
    rng.shuffle(occurrences)
    for index, occurrence in enumerate(occurrences):
        shown.setdefault(places[index % len(places)], ([], ""))[0].append(occurrence)
    return shown


def _site(host: Host, numbers: range, shown: Shows) -> Iterator[Page]:
    root = f"http://{host.name}"
    blocks = [numbers[i : i + ITEMS_PER_LIST] for i in range(0, len(numbers), ITEMS_PER_LIST)]
    lists = tuple((root + host.list_path.format(n=n), f"List {n}") for n in range(1, len(blocks) + 1))
    yield Page(f"{root}/", host, f"Welcome to {host.name}", (), _neighbours(), (*lists, *_dead_ends(root)), "")
    for (url, words), block in zip(lists, blocks, strict=True):
        links = tuple((root + host.item_path.format(n=n), f"Page {n}") for n in block)
        yield Page(url, host, words, (), ((f"{root}/", "Home"), *lists), links, "")
    for number in numbers:
        images, says = shown.get((host.name, number), ([], ""))
        nav = ((f"{root}/", "Home"), (root + host.item_path.format(n=max(1, number - 1)), "Previous"))
        yield Page(root + host.item_path.format(n=number), host, f"Page {number}", tuple(images), nav, (), says)


def _neighbours() -> tuple[tuple[str, str], ...]:
    names = [host.name for host in PAGE_HOSTS] + list(REFUSING_HOSTS)
    return tuple((f"http://{name}/", name) for name in names)


def _dead_ends(root: str) -> tuple[tuple[str, str], ...]:
    """Links such as every site has: to what is gone, to what is no page, to another scheme."""
    return (
        (f"{root}/old/page.html", "An old page"),
        (f"{root}/files/list.pdf", "Our list as PDF"),
        ("mailto:owner@mail.demo.test", "Write to us"),
        ("javascript:void(0)", "Print"),
    )


def _refused_site(host: Host) -> Iterator[Page]:
    """Pages that nobody of ours may ask for; their pictures are nobody's business."""
    root = f"http://{host.name}"
    urls = [f"{root}/"] + [root + host.item_path.format(n=n) for n in range(1, REFUSED_PAGES)]
    links = tuple((url, url) for url in urls)
    for url in urls:
        yield Page(url, host, "Not for machines", (), (), links, "")
