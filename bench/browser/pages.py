"""The pages that are compared: installed documentation, and one crafted page for each habit of real sites."""

from pathlib import Path
from typing import NamedTuple

DOCUMENTS = ("debian-handbook", "python-skimage-doc")
ROOT = Path("/usr/share/doc")

# A lazy loader as real ones are: known attributes into src and srcset, `{width}` filled from data-widths.
LOADER = """<script>addEventListener('load', () => document.querySelectorAll('img,source').forEach(node => {
 for (const a of [...node.attributes]) {
  if (a.name == 'data-srcset' || a.name == 'nitro-lazy-srcset') node.setAttribute('srcset', a.value);
  else if (NAMES.includes(a.name)) {
   const widths = (node.dataset.widths || '').match(/\\d+/g) || [];
   node.setAttribute('src', a.value.replace('{width}', Math.max(0, ...widths)));
  }
 }
}))</script>"""


class Page(NamedTuple):
    """A page as it is served."""

    path: str
    body: bytes
    content_type: str
    by_decision: str = ""  # why what we find is not what the browser shows


def documents(limit: int) -> list[Path]:
    """Pages with images of the installed packages, each package in turn; at most `limit`."""
    piles = [sorted((ROOT / name).rglob("*.html")) for name in DOCUMENTS if (ROOT / name).is_dir()]
    piles.append(sorted(p for p in ROOT.rglob("*.html") if p.relative_to(ROOT).parts[0] not in DOCUMENTS))
    piles = [[p for p in pile if p.is_file() and b"<img" in p.read_bytes().lower()] for pile in piles]
    chosen: list[Path] = []
    for turn in range(max(map(len, piles), default=0)):
        chosen += [pile[turn] for pile in piles if turn < len(pile)]
    return chosen[:limit]


def _lazy(tag: str, *names: str) -> str:
    return tag + LOADER.replace("NAMES", str(list(names)))


GIF = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
HTML = {
    "braces": '<img src="/c/{3F25}.jpg" alt="braces in a path"><img src="/a.jpg?id={1}" alt="braces in a query">',
    "templates": '<img src="/x/{{name}}.jpg" alt="t1"><img src="/x/${name}.jpg" alt="t2">'
    '<img src="/<%=x%>.jpg" alt=t3>',
    "real-src": '<img class=lazy src="/a.jpg" data-url="/product/1.html" alt="a real source">',
    "unknown-lazy": _lazy(f'<img src="{GIF}" nitro-lazy-src="/a.jpg" alt=fox>', "nitro-lazy-src"),
    "missing-src": _lazy('<img data-foo-image="/b.png" alt="no source">', "data-foo-image"),
    "hash-src": _lazy('<img src="#" data-src="/b.png" alt="hash source">', "data-src"),
    "no-host-src": _lazy('<img src="//:0" data-original="/b.png" alt="no host">', "data-original"),
    "template-src": _lazy('<img src="{{x}}" data-src="/b.png" alt="template source">', "data-src"),
    "preview": _lazy('<img class=lazy src="/a-20x15.jpg" data-src="/a-1200x900.jpg" alt=preview>', "data-src"),
    "space": _lazy(f'<img src="{GIF}" data-src="/my photo 1.jpg" alt="with spaces">', "data-src"),
    "widths": _lazy(f'<img src="{GIF}" data-src="/p_{{width}}x.jpg" data-widths="[180, 900, 540]" alt=w>', "data-src"),
    "lazy-srcset": _lazy(f'<img src="{GIF}" data-srcset="/s.jpg 400w, /l.jpg 2560w" alt=srcset>'),
    "svg-base": '<svg><base href="/elsewhere/"></base></svg><img src="rel.jpg" alt="base in svg">',
    "source-after": '<picture><img src="/a.jpg" alt="source after"><source srcset="/late.jpg"></picture>',
    "source-nested": '<picture><div><source srcset="/deep.jpg"></div><img src="/a.jpg" alt="nested source"></picture>',
    "img-nested": '<picture><source srcset="/s.jpg"><span><img src="/a.jpg" alt="nested image"></span></picture>',
    "media-narrow": '<picture><source media="(max-width: 700px)" srcset="/n.jpg 9000w">'
    '<img src="/w.jpg" alt=w></picture>',
    "media-wide": '<picture><source media="(max-width: 2000px)" srcset="/w.jpg"><img src="/n.jpg" alt=w></picture>',
    "media-range": '<picture><source media="(600px <= width < 80.1em)" srcset="/r.jpg">'
    '<img src="/n.jpg" alt=r></picture>',
    "media-not": '<picture><source media="not all and (min-width: 3000px)" srcset="/n.jpg">'
    '<img src="/x.jpg" alt=n></picture>',
    "media-print": '<picture><source media="print" srcset="/p.jpg"><img src="/x.jpg" alt="no print"></picture>',
    "media-retina": '<picture><source media="(min-resolution: 1.5dppx)" srcset="/2x.jpg">'
    '<img src="/1x.jpg" alt=2x></picture>',
    "media-first": '<picture><source media="(min-width: 1000px)" srcset="/first.jpg"><source srcset="/second.jpg 2x">'
    '<img src="/x.jpg" alt="first source"></picture>',
    "noscript": _lazy(
        '<img data-src="/a.jpg" alt=""><noscript><img src="/a.jpg" alt="of noscript"></noscript>', "data-src"
    ),
    "srcset": '<img src="/1.jpg" srcset="/1.jpg 1x, /2.jpg 2x" alt=density>',
    "aria": '<img src="/a.jpg" aria-label="a label"><img src="/b.jpg" alt="an alt" aria-label="another label">',
}
DECIDED = {
    "templates": "a template is no url: a script was to fill it in",
    "noscript": "the alt of a noscript counts where its image has none",
}
ENCODINGS = {
    "windows-1251": "кошка", "shift_jis": "表示猫", "euc-kr": "고양이", "gbk": "镕猫€", "big5": "貓許",
    "iso-8859-2": "kočka", "windows-1252": "café漢", "koi8-r": "кот", "euc-jp": "猫表", "gb18030": "猫€",
    "iso-2022-jp": "猫 表", "iso-8859-7": "γάτα", "windows-1255": "חתול", "windows-874": "แมว", "utf-8": "猫é",
}  # fmt: skip


def crafted() -> list[Page]:
    pages = [Page(f"{name}.html", f"<!doctype html><meta charset=utf-8>{html}".encode(), "text/html",
                  DECIDED.get(name, ""))
             for name, html in HTML.items()]  # fmt: skip
    for label, word in ENCODINGS.items():
        html = f'<!doctype html><meta charset="{label}"><img src="/i/{word}.jpg?q={word}" alt="{word}">'
        codec = {"gbk": "gb18030", "windows-874": "cp874"}.get(label, label)
        text = html.encode(codec, "xmlcharrefreplace")
        pages.append(Page(f"in-{label}.html", text, "text/html"))
    xhtml = ('<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="/none.js"/></head>'
             '<body><img src="/x.jpg" alt="after &lt;script/>"/></body></html>')  # fmt: skip
    pages.append(Page("whole.xhtml", xhtml.encode(), "application/xhtml+xml"))
    stray = '<!doctype html><img src="/a.jpg" alt="привет мир"><p>медведь '.encode() + b"\xff</p>"
    pages.append(Page("stray.html", stray, "text/html", "UTF-8 is guessed, as a browser of files does"))
    return pages
