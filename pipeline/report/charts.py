"""Pictures of numbers as inline SVG: no script, no network. Every picture has its numbers as text too."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

ROW, BAR, LEFT, WIDTH = 30, 18, 190, 900  # pixels
RIGHT = 120  # room for the number behind a bar
HEIGHT = 220  # of a histogram


def funnel_chart(steps: Sequence[Mapping[str, Any]]) -> str:
    """A bar a step: what went on, and behind it what was merged and dropped."""
    if not steps:
        return "<p>No stage is finished yet.</p>"
    most = max(max(step["rows_in"] for step in steps), 1)
    rows = [_funnel_row(index, step, most) for index, step in enumerate(steps)]
    title = f"From {steps[0]['rows_in']:,} {steps[0]['unit']}s to {steps[-1]['rows_out']:,} kept"
    return _svg(len(steps) * ROW, title, "".join(rows))


def _funnel_row(index: int, step: Mapping[str, Any], most: int) -> str:
    y = index * ROW
    scale = (WIDTH - LEFT - RIGHT) / most
    out, merged = step["rows_out"] * scale, step["merged"] * scale
    dropped = (step["rows_in"] - step["rows_out"] - step["merged"]) * scale
    label = f"{step['stage']} · {step['step']}" if step["stage"] != step["step"] else step["stage"]
    tip = f"{step['rows_in']:,} in, {step['rows_out']:,} out, {step['merged']:,} merged, " \
          f"{sum(step['rejects'].values()):,} dropped"  # fmt: skip
    return (
        f"<g><title>{escape(tip)}</title>{_text(0, y, label)}"
        f"{_rect(LEFT, y, out, 'bar ' + step['unit'])}"
        f"{_rect(LEFT + out, y, merged, 'merged')}{_rect(LEFT + out + merged, y, dropped, 'drop')}"
        f"{_text(LEFT + out + merged + dropped + 8, y, format(step['rows_out'], ','))}</g>"
    )


def bar_chart(counts: Mapping[str, int], title: str, css: str = "bar") -> str:
    """A bar an entry, in the order given."""
    if not counts:
        return "<p>Nothing to show.</p>"
    scale = (WIDTH - LEFT - RIGHT) / max(1, *counts.values())
    rows = [
        f"<g>{_text(0, index * ROW, label)}{_rect(LEFT, index * ROW, n * scale, css)}"
        f"{_text(LEFT + n * scale + 8, index * ROW, format(n, ','))}</g>"
        for index, (label, n) in enumerate(counts.items())
    ]
    return _svg(len(counts) * ROW, title, "".join(rows))


def histogram(counts: Mapping[str, Mapping[str, int]], title: str, mark: float | None = None) -> str:
    """Columns over numeric bins, one series on top of another. `counts`: series → bin → n. `mark`: a line, the cut.

    Empty bins between others take their room too: the axis is a scale.
    """
    bins = sorted({b for series in counts.values() for b in series}, key=float)
    if not bins:
        return "<p>Nothing to show.</p>"
    axis = Axis.over([float(b) for b in bins])
    most = max(sum(series.get(b, 0) for series in counts.values()) for b in bins)
    columns = "".join(_column(counts, b, axis, most) for b in bins)
    every = max(1, axis.places // 12)
    labels = "".join(f'<text x="{axis.x(value):.1f}" y="{HEIGHT + 16}">{value:g}</text>'
                     for value in axis.values()[::every])  # fmt: skip
    return _svg(HEIGHT + 24, title, columns + labels + (_mark(mark, axis) if mark is not None else ""))


class Axis(NamedTuple):
    """The bin of a value: bins of equal width from `first` on."""

    first: float
    step: float
    places: int

    @classmethod
    def over(cls, values: Sequence[float]) -> "Axis":
        step = min((b - a for a, b in pairwise(values)), default=1.0)
        return cls(values[0], step, round((values[-1] - values[0]) / step) + 1)

    @property
    def width(self) -> float:
        return (WIDTH - 20) / self.places

    def x(self, value: float) -> float:
        return 10 + (value - self.first) / self.step * self.width

    def values(self) -> list[float]:
        return [round(self.first + index * self.step, 6) for index in range(self.places)]


def _column(counts: Mapping[str, Mapping[str, int]], bin_: str, axis: Axis, most: int) -> str:
    parts, top = [], float(HEIGHT)
    for css, series in counts.items():
        size = series.get(bin_, 0) / most * (HEIGHT - 10)
        top -= size
        if size:
            tip = f"{bin_}: {series[bin_]:,} {css}"
            box = (
                f'x="{axis.x(float(bin_)):.1f}" y="{top:.1f}" width="{max(1, axis.width - 2):.1f}" height="{size:.1f}"'
            )
            parts.append(f'<rect class="{css}" {box}><title>{escape(tip)}</title></rect>')
    return "".join(parts)


def _mark(mark: float, axis: Axis) -> str:
    x = axis.x(mark)
    if not 0 <= x <= WIDTH:
        return ""
    line = f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}"/>'
    return f'{line}<text x="{x - 4:.1f}" y="12" text-anchor="end">cut {mark}</text>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y + 14}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, css: str) -> str:
    return (
        f'<rect class="{css}" x="{x:.1f}" y="{y}" width="{max(width, 0):.1f}" height="{BAR}" rx="3"/>'
        if width > 0
        else ""
    )


def _svg(height: float, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
