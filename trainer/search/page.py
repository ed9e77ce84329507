"""What the search page looks like. Everything that comes from outside goes through `escape`."""

from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

from trainer.search.query import Hit

STYLE = """\
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667080; --line: #dfe3e8; --paper: #f6f7f9; --card: #fff;
  --accent: #2457d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa4b2; --line: #30363d; --paper: #14171b;
  --card: #1d2127; --accent: #8ab0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
header { position: sticky; top: 0; background: var(--card); border-bottom: 1px solid var(--line); z-index: 1; }
header > div { max-width: 1280px; margin: auto; padding: 14px 24px; display: flex; gap: 24px; align-items: center; }
h1 { font-size: 18px; margin: 0; letter-spacing: -.01em; white-space: nowrap; }
h1 a { color: inherit; text-decoration: none; }
form { flex: 1; display: flex; max-width: 720px; }
input { flex: 1; min-width: 0; font: inherit; color: inherit; background: var(--paper); padding: 9px 14px;
  border: 1px solid var(--line); border-right: 0; border-radius: 8px 0 0 8px; }
button { font: inherit; font-weight: 600; padding: 9px 18px; color: #fff; background: #2457d6;
  border: 1px solid #2457d6; border-radius: 0 8px 8px 0; cursor: pointer; }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: -1px; }
a:focus-visible { outline-offset: 2px; }
main { max-width: 1280px; margin: auto; padding: 20px 24px 48px; }
.note { color: var(--soft); margin: 0 0 16px; overflow-wrap: anywhere; }
.empty { margin: 14vh auto; text-align: center; color: var(--soft); max-width: 40em; text-wrap: balance; }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); }
li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  display: flex; flex-direction: column; }
figure { margin: 0; aspect-ratio: 1; display: grid; place-items: center; overflow: hidden; background: var(--paper);
  border-bottom: 1px solid var(--line); }
figure img { width: 100%; height: 100%; object-fit: contain; display: block; min-height: 0; }
.text { padding: 10px 12px 12px; display: flex; flex-direction: column; gap: 6px; flex: 1; }
.caption { margin: 0; overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 4; overflow: hidden; }
.about { margin: auto 0 0; display: flex; justify-content: space-between; gap: 10px; font-size: 12.5px;
  color: var(--soft); }
.score { font-variant-numeric: tabular-nums; white-space: nowrap; }
.about a { color: var(--accent); text-decoration: none; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.about a:hover { text-decoration: underline; }
@media (max-width: 560px) { header > div { flex-wrap: wrap; gap: 8px; padding: 10px 14px; } main { padding: 14px; }
  form { flex-basis: 100%; } ol { grid-template-columns: repeat(2, 1fr); gap: 10px; } }
"""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header><div>
<h1><a href="/">Pairmill search</a></h1>
<form action="/" method="get" role="search">
<input name="q" type="search" value="{text}" placeholder="Describe an image" aria-label="Describe an image"
 maxlength="500" autocomplete="off"{focus}>
<button>Search</button>
</form>
</div></header>
<main>
{body}
</main>
</body>
</html>
"""

CARD = """\
<li>
<figure><img src="/image/{row}" alt="{caption}" loading="lazy"></figure>
<div class="text">
<p class="caption" dir="auto" title="{caption}">{caption}</p>
<p class="about">{source}<span class="score" title="cosine similarity of text and image">{score:.3f}</span></p>
</div>
</li>"""


def render(text: str, hits: Sequence[Hit], error: str, images: int) -> str:
    """The page, complete."""
    title = f"{text} – Pairmill search" if text else "Pairmill search"
    return PAGE.format(title=escape(title), text=escape(text), body=body_of(text, hits, error, images),
                       focus="" if text else " autofocus")  # fmt: skip


def body_of(text: str, hits: Sequence[Hit], error: str, images: int) -> str:
    if error:
        return f'<p class="empty">{escape(error)}</p>'
    if not text:
        return f'<p class="empty">{images:,} images. Say what should be in the picture; the nearest come first.</p>'
    cards = "\n".join(card(hit) for hit in hits)
    return f'<p class="note">The {len(hits)} of {images:,} images nearest to “{escape(text)}”</p>\n<ol>\n{cards}\n</ol>'


def card(hit: Hit) -> str:
    return CARD.format(row=hit.row, caption=escape(hit.caption), score=hit.score, source=source_of(hit.url))


def source_of(url: str) -> str:
    """A link to where the image was found, only for http and https: a `javascript:` url is shown to nobody."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "<span></span>"
    if parts.scheme not in ("http", "https") or not host:
        return "<span></span>"
    return f'<a href="{escape(url)}" rel="noreferrer nofollow noopener" title="{escape(url)}">{escape(host)}</a>'
