"""The ancestors of a node of a page, looked up in bounded time."""

from typing import NamedTuple

from selectolax.lexbor import LexborNode

MAX_ANCESTORS = 32  # looked at above a node; what is nested deeper counts as not there


class Surroundings(NamedTuple):
    """What is around a node: its figure, the picture that it is a child of, the fallback that it is in."""

    figure: int | None  # mem_id
    picture: LexborNode | None
    in_noscript: bool
    fallback_of: int | None = None  # mem_id of the amp-img or picture that its noscript stands in


def surroundings(node: LexborNode) -> Surroundings:
    figure, fallback_of, in_noscript = None, None, False
    parent = node.parent
    picture = parent if parent is not None and parent.tag == "picture" else None
    for _ in range(MAX_ANCESTORS):
        if parent is None:
            break
        tag = parent.tag
        if tag == "figure" and figure is None:
            figure = parent.mem_id
        elif tag == "noscript":
            in_noscript = True
        elif tag in ("amp-img", "picture") and in_noscript and fallback_of is None:
            fallback_of = parent.mem_id
        parent = parent.parent
    return Surroundings(figure, picture, in_noscript, fallback_of)


def is_foreign(node: LexborNode) -> bool:
    """Whether a node is an element of SVG or MathML, whatever its name."""
    parent = node.parent
    for _ in range(MAX_ANCESTORS):
        if parent is None or parent.tag in ("foreignobject", "foreignObject", "desc", "annotation-xml"):
            return False
        if parent.tag in ("svg", "math"):
            return True
        parent = parent.parent
    return False
