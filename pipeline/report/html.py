"""report.NAME.html: one file, no network, no script. What a person reads to judge a run."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.report.charts import bar_chart, funnel_chart, histogram
from pipeline.report.examples import Examples
from pipeline.report.tables import lost_text

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SHOWN_HOSTS, SHOWN_LANGUAGES = 20, 20
NUMBER = '<td class="n">'


class Thumbnail(NamedTuple):
    """A kept image, for those who asked to see some."""

    data: bytes
    media_type: str
    caption: str


def render(
    stats: dict[str, Any],
    settings: dict[str, Any],
    examples: Examples,
    pictures: Sequence[Thumbnail],
    selections: Sequence[str] = (),
) -> str:
    """The whole page. Everything that came from the web is escaped.

    `selections`: those that have a report of their own to link to, this page's first.
    """
    sections = [
        _head(stats, selections),
        _faults(stats["faults"]),
        _tiles(stats),
        _section("The funnel", _funnel(stats["funnel"])),
        _section("What most rows fell for", _notes(stats["main_reasons"])) if stats["main_reasons"] else "",
        _section("Pages of the crawl", _pages(stats["pages"])) if stats["pages"] else "",
        _section("How the sources were read", _notes(stats["notes"])) if stats["notes"] else "",
        _section("Damaged archives", _damage(stats["archives"])) if stats["archives"]["lost_records"] else "",
        _section("Drops, with examples", _drops(stats["funnel"], examples)),
        _section("Similarity of caption and image", _scores(stats["scores"], settings)),
        _section("Images", _images(stats)),
        _section("Captions", _captions(stats)),
        _section("Hosts", _hosts(stats)),
        _section("Shards", _shards(stats["shards"])),
        _section("Kept pairs", _pictures(pictures)) if pictures else "",
        _section("Timings", _timings(stats["timings"])),
        _section("Settings", f"<pre>{escape(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))}</pre>"),
    ]
    return PAGE.format(csp=CSP, name=escape(stats["name"]), style=style(), body="\n".join(s for s in sections if s))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{csp}"><title>Pairmill report: {name}</title>
<style>{style}</style></head><body><main>
{body}
</main></body></html>
"""


def style() -> str:
    return (Path(__file__).parent / "style.css").read_text()


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n<section>{body}</section>"


def _head(stats: dict[str, Any], selections: Sequence[str]) -> str:
    lead = f'<p class="lead">selection <b>{escape(stats["name"])}</b></p>'
    if selections:
        links = [f'<a href="report.{escape(name, quote=True)}.html">{escape(name)}</a>' for name in selections]
        older = f"; others: {', '.join(links[1:])}" if links[1:] else ""
        lead = f'<p class="lead">the newest report, selection <b>{links[0]}</b>{older}</p>'
    return f"<h1>Pairmill report</h1>{lead}"


def _faults(faults: Sequence[str]) -> str:
    if not faults:
        return ""
    lines = "".join(f"<li>{escape(f)}</li>" for f in faults)
    return f'<section class="warn"><b>The funnel does not add up:</b><ul>{lines}</ul></section>'


def _tiles(stats: dict[str, Any]) -> str:
    steps = stats["funnel"]
    by_stage = {step["stage"]: step["rows_out"] for step in steps}
    tiles = [("occurrences", steps[0]["rows_in"] if steps else 0), ("candidates", by_stage.get("collect", 0)),
             ("images", by_stage.get("fetch", 0)), ("kept pairs", by_stage.get("select", 0)),
             ("shards", len(stats["shards"]))]  # fmt: skip
    return '<div class="tiles">' + "".join(f"<div><b>{n:,}</b><span>{t}</span></div>" for t, n in tiles) + "</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers and the heads above them are right-aligned, texts are escaped."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [any(row[column].startswith(NUMBER) for row in cells) for column in range(len(header))]
    heads = zip(header, numeric, strict=True)
    head = "".join(f'<th class="n">{escape(h)}</th>' if right else f"<th>{escape(h)}</th>" for h, right in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{NUMBER}{value:,}</td>"
    return f"<td>{escape('' if value is None else str(value))}</td>"


def _funnel(steps: Sequence[dict[str, Any]]) -> str:
    key = ('<p class="key"><i style="background:var(--pages)"></i>occurrences that go on'
           '<i style="background:var(--good)"></i>candidates that go on<i style="background:var(--merged)"></i>merged'
           '<i style="background:var(--drop)"></i>dropped</p>')  # fmt: skip
    rows = [
        (s["stage"], s["step"], s["unit"], s["rows_in"], s["rows_out"], s["merged"], sum(s["rejects"].values()))
        for s in steps
    ]
    numbers = table(("stage", "step", "unit", "in", "out", "merged", "dropped"), rows)
    chart = f'<div class="scroll">{funnel_chart(steps)}</div>'
    return f"{key}{chart}<details><summary>as a table</summary>{numbers}</details>"


def _pages(outcomes: dict[str, int]) -> str:
    chart = bar_chart({reason or "read": n for reason, n in outcomes.items()}, "pages by outcome")
    return f'<div class="scroll">{chart}</div>'


def _notes(notes: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"


def _damage(lost: dict[str, int]) -> str:
    return f"<p>{lost_text(**lost)} bytes were lost; <code>candidates/pages-*.parquet</code> says where.</p>"


def _drops(steps: Sequence[dict[str, Any]], examples: Examples) -> str:
    parts = []
    for stage in dict.fromkeys(step["stage"] for step in steps):
        of_stage = [s for s in steps if s["stage"] == stage and s["rejects"]]
        if of_stage:
            parts.append(f"<h3>{escape(stage)}</h3>{_stage_drops(of_stage, examples)}")
    return "".join(parts) or "<p>Nothing was dropped.</p>"


def _stage_drops(steps: Sequence[dict[str, Any]], examples: Examples) -> str:
    counts = sorted(((n, r) for s in steps for r, n in s["rejects"].items()), reverse=True)
    chart = bar_chart({reason: n for n, reason in counts}, "drops by reason", "drop")
    details = "".join(
        _reason(s, reason, n, examples)
        for s in steps
        for reason, n in sorted(s["rejects"].items(), key=lambda e: (-e[1], e[0]))
    )
    return f'<div class="scroll">{chart}</div>{details}'


def _reason(step: dict[str, Any], reason: str, count: int, examples: Examples) -> str:
    found = examples.get((step["stage"], step["step"], reason), [])
    rows = [(e.url, e.caption, None if e.value is None else round(e.value, 4), e.detail) for e in found]
    title = f"{escape(reason)} <small>({escape(step['step'])})</small>: {count:,}"
    return f"<details><summary>{title}</summary>{table(('url', 'caption', 'value', 'detail'), rows)}</details>"


def _scores(scores: dict[str, dict[str, int]], settings: dict[str, Any]) -> str:
    if not any(scores.values()):
        return "<p>Nothing was scored: score.model is none.</p>"
    cuts = [r["min"] for r in settings["select"]["rules"] if r.get("rule") == "score" and r.get("min") is not None]
    chart = histogram(scores, "similarity of kept and dropped pairs", cuts[0] if cuts else None)
    key = '<p class="key"><i style="background:var(--good)"></i>kept<i style="background:var(--drop)"></i>dropped</p>'
    return f'{key}<div class="scroll">{chart}</div>'


def _images(stats: dict[str, Any]) -> str:
    sides = histogram({"bar": stats["short_side_px"]}, "shorter side of the original, pixels")
    return f'<p>Shorter side of the original in pixels</p><div class="scroll">{sides}</div>' + table(
        ("format", "images"), stats["formats"].items()
    )


def _captions(stats: dict[str, Any]) -> str:
    lengths = histogram({"bar": stats["caption_characters"]}, "length of the kept captions, characters")
    languages = dict(list(stats["languages"].items())[:SHOWN_LANGUAGES])
    language_chart = bar_chart(languages, "languages")
    return (
        f'<p>Length of the kept captions in characters</p><div class="scroll">{lengths}</div>'
        f'<p>Languages of the kept captions</p><div class="scroll">{language_chart}</div>'
        + table(("captions an image", "images"), stats["captions_per_image"].items())
    )


def _hosts(stats: dict[str, Any]) -> str:
    rows = [(h["host"], h["images"], h["fetched"]) for h in stats["hosts"][:SHOWN_HOSTS]]
    return f"<p>{stats['hosts_total']:,} hosts</p>" + table(("host", "candidates", "fetched"), rows)


def _shards(shards: Sequence[dict[str, Any]]) -> str:
    return table(("shard", "samples", "bytes"), [(s["name"], s["samples"], s["size_bytes"]) for s in shards])


def _timings(timings: dict[str, dict[str, Any]]) -> str:
    rows = [(stage, t.get("started"), t.get("duration_s"), t.get("cpu_s"), round(t.get("peak_bytes", 0) / 1e6))
            for stage, t in timings.items()]  # fmt: skip
    return table(("stage", "started", "seconds", "CPU seconds so far", "peak MB of the largest process"), rows)


def _pictures(pictures: Sequence[Thumbnail]) -> str:
    figures = [
        f'<figure><img alt="{escape(p.caption, quote=True)}" '
        f'src="data:{p.media_type};base64,{base64.b64encode(p.data).decode()}">'
        f"<figcaption>{escape(p.caption)}</figcaption></figure>"
        for p in pictures
    ]
    return '<div class="pictures">' + "".join(figures) + "</div>"
