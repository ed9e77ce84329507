"""The shapes that the demo draws: outlines in the unit circle, x to the right, y down."""

import math

Outline = list[tuple[float, float]]

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "ring", "moon")


def outline(shape: str) -> Outline:
    """The closed outline of `shape`. A ring is a circle with a hole (`hole`); all others are solid."""
    return _OUTLINES[shape]


def hole(shape: str) -> Outline:
    """What is cut out of the outline; empty where nothing is."""
    return [(0.55 * x, 0.55 * y) for x, y in _OUTLINES["circle"]] if shape == "ring" else []


def _polar(radii: list[float], start: float = -math.pi / 2) -> Outline:
    """Points at equal angles with the given radii."""
    step = 2 * math.pi / len(radii)
    return [(r * math.cos(start + i * step), r * math.sin(start + i * step)) for i, r in enumerate(radii)]


def _cross(arm: float = 0.32) -> Outline:
    a, b = arm, 0.95
    return [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]


def _heart(points: int = 64) -> Outline:
    """The usual parametric heart, scaled to the unit circle."""
    out = []
    for i in range(points):
        t = 2 * math.pi * i / points
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        out.append((16 * math.sin(t) ** 3 / 17, -(y + 2.5) / 17))
    return out


def _moon(points: int = 32) -> Outline:
    """A crescent: the outer half circle there, a flatter arc back."""
    outer = [(math.cos(a), math.sin(a)) for a in _angles(math.pi * 0.35, math.pi * 1.65, points)]
    (x0, y0), centre = outer[0], 0.55
    radius = math.hypot(x0 - centre, y0)
    end = math.atan2(-y0, x0 - centre) % (2 * math.pi)
    start = math.atan2(y0, x0 - centre)
    inner = [(centre + radius * math.cos(a), radius * math.sin(a)) for a in _angles(end, start, points)]
    return [(x + 0.25, y) for x, y in outer + inner]


def _angles(start: float, end: float, points: int) -> list[float]:
    return [start + (end - start) * i / (points - 1) for i in range(points)]


_OUTLINES: dict[str, Outline] = {
    "circle": _polar([0.95] * 64),
    "square": _polar([1.08] * 4, start=-math.pi / 4),
    "triangle": _polar([1.12] * 3),
    "star": _polar([1.1, 0.45] * 5),
    "cross": _cross(),
    "heart": _heart(),
    "ring": _polar([1.0] * 64),
    "moon": _moon(),
}
