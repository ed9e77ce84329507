"""What Chromium shows of a page against what `transforms.html` finds: `make check-browser`. Loopback only.

A 1280 × 720 window at 2 device pixels each; every page is scrolled to its end, and its lazy images are loaded. An image
of the browser is found where ours has its url (`currentSrc`) and its alt, or its `aria-label` where it has none.
"""

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from bench.browser.chromium import DENSITY, HEIGHT, PROGRAM, WIDTH, chromium
from bench.browser.pages import ROOT, Page, crafted, documents
from filters.url import UrlRules, judge_url, normalise_url
from transforms.html.page import HtmlSettings, clean_text, read_body

RESULTS = Path("bench/results/check-browser.json")
REAL_PAGES = 400
MIN_REAL_PAGES = 300
MIN_FOUND, MAX_UNKNOWN = 0.99, 0.01
IMAGES = (".jpg", ".png", ".gif", ".jpeg", ".webp")
SHOWN_LINES = 20
# Before any script of the page: which images its HTML holds. What scripts make is counted apart.
MARK = "addEventListener('DOMContentLoaded', () => [...document.images].forEach(i => { i.ofHtml = true }), true)"
# Load what waits for a loader, scroll, wait until every image is there or has failed, then say what is shown.
SCRIPT = """(async () => {
 const wait = ms => new Promise(r => setTimeout(r, ms));
 for (let i = 0; i < 200 && document.readyState != 'complete'; i++) await wait(25);
 await wait(20);
 const end = document.documentElement.scrollHeight;
 for (let y = 0, n = 0; y < end && n < 60; y += Math.max(700, end / 50), n++) { scrollTo(0, y); await wait(5); }
 const all = [...document.images];
 for (const i of all) {
  const late = i.getAttribute('data-src') || i.getAttribute('data-original');
  if (late && i.naturalWidth <= 1) i.src = late;
 }
 all.forEach(i => { i.loading = 'eager' });
 for (let i = 0; i < 120 && all.some(i => !i.complete); i++) await wait(25);
 return all.map(i => ({url: i.currentSrc, alt: i.alt || i.getAttribute('aria-label') || '',
   ofHtml: !!i.ofHtml, shown: i.complete && i.naturalWidth > 0, src: i.src}));
})()"""

Found = dict[str, Any]


class Site:
    """Serves the documentation under /doc/ and the crafted pages under /crafted/; any image name there is a picture."""

    def __init__(self) -> None:
        self.pages = {page.path: page for page in crafted()}
        buffer = io.BytesIO()
        Image.new("RGB", (64, 48), "red").save(buffer, "PNG")
        self._picture = buffer.getvalue()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        page = self.pages.get(path.removeprefix("/crafted/"))
        if page is not None:
            return web.Response(body=page.body, headers={"Content-Type": page.content_type})
        file = ROOT / path.removeprefix("/doc/")
        if path.startswith("/doc/") and file.is_file() and ".." not in path:
            return web.FileResponse(file)
        if not path.startswith("/doc/") and path.lower().endswith(IMAGES):
            return web.Response(body=self._picture, content_type="image/png")
        return web.Response(status=404)


def ours_of(body: bytes, content_type: str, url: str) -> list[Found]:
    """What we find and would ask for: an image's url with its alt texts."""
    page = read_body(body, content_type, url, HtmlSettings(open_graph="off"))
    return [
        {"url": image.url, "alts": [text for kind, text in image.captions if kind == "alt"]}
        for image in page.images
        if judge_url(image.url, UrlRules()) is None
    ]


def compare(shown: list[Found], ours: list[Found]) -> tuple[int, int, list[str]]:
    """(images of the browser that we have, of ours that it does not know, differences)"""
    by_url: dict[str, list[list[str]]] = {}
    for one in ours:
        by_url.setdefault(one["url"], []).append(one["alts"])
    differences, found = [], 0
    known = {normalise_url(url) for one in shown for url in (one["url"], one["src"]) if url}
    pictures = [one for one in shown if one["shown"] and one["url"].startswith("http")]
    for one in pictures:
        alts = by_url.get(normalise_url(one["url"]) or "")
        alt = clean_text(one["alt"])
        if alts is not None and any(alt in texts or (not alt and not texts) for texts in alts):
            found += 1
        else:
            differences.append(f"not found: {one['url']} alt {alt!r}; ours for this url: {alts}")
    unknown = [one for one in ours if one["url"] not in known]
    differences += [f"unknown to the browser: {one['url']}" for one in unknown]
    return found, len(unknown), differences


async def measure(origin: str, pages: list[tuple[str, Page]], resolve: str) -> dict[str, Any]:
    counts = {"pages": 0, "shown": 0, "found": 0, "ours": 0, "unknown": 0, "made_by_scripts": 0}
    differences: dict[str, Any] = {}
    by_decision: dict[str, Any] = {}
    async with chromium(resolve) as tab:
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=MARK)
        version = (await tab.call("Browser.getVersion"))["product"]
        for path, page in pages:
            url = origin + path
            await tab.open(url)
            everything = await tab.evaluate(SCRIPT)
            shown = [one for one in everything if one["ofHtml"]]
            ours = ours_of(page.body, page.content_type, url)
            found, unknown, told = compare(shown, ours)
            if page.by_decision:
                by_decision[path] = {"why": page.by_decision, "differences": told}
                continue
            pictures = sum(one["shown"] and one["url"].startswith("http") for one in shown)
            for name, value in zip(
                counts, (1, pictures, found, len(ours), unknown, len(everything) - len(shown)), strict=True
            ):
                counts[name] += value
            if told:
                differences[path] = told
    ratios = {"found": round(counts["found"] / max(1, counts["shown"]), 5),
              "unknown": round(counts["unknown"] / max(1, counts["ours"]), 5)}  # fmt: skip
    return counts | {"ratios": ratios, "differences": differences, "by_decision": by_decision, "browser": version}


async def run() -> dict[str, Any]:
    site = Site()
    real = [(f"/doc/{p.relative_to(ROOT)}", Page("", p.read_bytes(), "text/html")) for p in documents(REAL_PAGES)]
    own = [(f"/crafted/{name}", page) for name, page in site.pages.items()]
    application = web.Application()
    application.router.add_get("/{path:.*}", site.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    port = runner.addresses[0][1]
    origin = f"http://pages.test:{port}"
    resolve = "MAP pages.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    try:
        return {"command": "make check-browser", "program": PROGRAM, "window": [WIDTH, HEIGHT, DENSITY],
                "python": sys.version.split()[0], "real": await measure(origin, real, resolve),
                "crafted": await measure(origin, own, resolve)}  # fmt: skip
    finally:
        await runner.cleanup()


def main() -> int:
    result = asyncio.run(run())
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    failed = result["real"]["pages"] < MIN_REAL_PAGES
    for name in ("real", "crafted"):
        part = result[name]
        ratios = part["ratios"]
        failed |= ratios["found"] < MIN_FOUND or ratios["unknown"] > MAX_UNKNOWN
        print(f"{name}: {part['pages']} pages, {part['shown']} images shown, {ratios['found']:.2%} found, "
              f"{ratios['unknown']:.2%} of ours unknown to the browser")  # fmt: skip
        lines = [f"  {page}: {line}" for page, told in part["differences"].items() for line in told]
        print(*lines[:SHOWN_LINES], sep="\n")
        if len(lines) > SHOWN_LINES:
            print(f"  {len(lines) - SHOWN_LINES} more in {RESULTS}")
    if failed:
        print(
            f"needs {MIN_REAL_PAGES} real pages, {MIN_FOUND:.0%} found, at most {MAX_UNKNOWN:.0%} unknown; "
            "pages are those of /usr/share/doc: apt-get install debian-handbook python-skimage-doc"
        )
    print(f"result  {RESULTS}")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
