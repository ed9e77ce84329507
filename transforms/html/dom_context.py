"""The ancestors of a node of a page, looked up in bounded time."""

from typing import NamedTuple

from selectolax.lexbor import LexborNode

MAX_ANCESTORS = 32  # looked at above a node; what is nested deeper counts as not there


class Surroundings(NamedTuple):
    """The innermost figure and picture around a node, and whether it is a fallback for browsers without scripts."""

    figure: int | None  # mem_id
    picture: LexborNode | None
    in_noscript: bool


def surroundings(node: LexborNode) -> Surroundings:
    figure, picture, in_noscript = None, None, False
    parent = node.parent
    for _ in range(MAX_ANCESTORS):
        if parent is None:
            break
        tag = parent.tag
        if tag == "figure" and figure is None:
            figure = parent.mem_id
        elif tag == "picture" and picture is None:
            picture = parent
        elif tag == "noscript":
            in_noscript = True
        parent = parent.parent
    return Surroundings(figure, picture, in_noscript)
