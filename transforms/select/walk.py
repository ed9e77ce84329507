"""A part on its way through the rules. Pure.

Rules that look at many pairs cut the way into legs. Between two legs only what was decided (`PartState`) and what such
a rule found out (`Fact`) crosses a shuffle; the pairs themselves are read again from their part.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from filters.reasons import Drop
from transforms import storage
from transforms.formats import parquet
from transforms.records import Pair, Selected
from transforms.select import groups
from transforms.select.judge import judge_pair
from transforms.select.pairs import best_similarity, dropped, kept, read_part
from transforms.select.settings import SelectSettings

Judge = Callable[[Pair], Pair | Drop]


class Fallen(NamedTuple):
    """A pair that a rule dropped."""

    row: int  # its place in the part
    step: str
    drop: Drop
    similarity: float | None  # of its best caption when it fell


class PartState(NamedTuple):
    """What has become of a part's pairs so far."""

    fallen: tuple[Fallen, ...] = ()
    lost: tuple[tuple[int, bytes], ...] = ()  # (row, caption id): captions that fell off pairs that stand


class News(NamedTuple):
    """What a part learns between two legs: its own state once, and each fact about it."""

    state: PartState | None
    facts: tuple[groups.Fact, ...]


class Leg(NamedTuple):
    """A stretch of the way: a rule of many whose facts are known now, rules of one pair, the next rule of many."""

    opening: tuple[str, Any] | None  # (label, rule)
    steps: tuple[tuple[str, Any], ...]
    closing: tuple[str, Any] | None  # None on the last leg


def legs_of(settings: SelectSettings) -> list[Leg]:
    """The way cut at every rule that looks at many pairs; always at least one leg."""
    legs: list[Leg] = []
    opening: tuple[str, Any] | None = None
    steps: list[tuple[str, Any]] = []
    for labelled in zip(settings.labels(), settings.rules, strict=True):
        if groups.needs_many(labelled[1]):
            legs.append(Leg(opening, tuple(steps), labelled))
            opening, steps = labelled, []
        else:
            steps.append(labelled)
    return [*legs, Leg(opening, tuple(steps), None)]


def walk(run: str, part: str, news: Iterable[News], leg: Leg) -> tuple[list[Pair], PartState]:
    """The pairs of a part that stand at the end of a leg, and the state to go on from."""
    return _walk(read_part(run, part), news, leg)


def fates(run: str, part: str, news: Iterable[News], leg: Leg, max_captions: int) -> list[Selected]:
    """A row for each candidate of a part, in its order, at the end of the last leg."""
    rows = list(read_part(run, part))
    pairs, state = _walk(rows, news, leg)
    ends: dict[int, Pair | Fallen] = {pair.row: pair for pair in pairs}
    ends |= {fallen.row: fallen for fallen in state.fallen}
    return [row if isinstance(row, Selected) else _fate(row, ends[row.row], max_captions) for row in rows]


def write_part(part: str, news: Iterable[News], run: str, name: str, leg: Leg, max_captions: int) -> str:
    rows = fates(run, part, news, leg, max_captions)
    parquet.write_rows(storage.join(run, "selection", name, f"{part}.parquet"), Selected, rows)
    return part


def _fate(pair: Pair, end: Pair | Fallen, max_captions: int) -> Selected:
    if isinstance(end, Pair):
        return kept(end, max_captions)
    return dropped(pair, end.step, end.drop, end.similarity)


def _walk(rows: Iterable[Pair | Selected], news: Iterable[News], leg: Leg) -> tuple[list[Pair], PartState]:
    state, facts = _gathered(news)
    judges = _judges(leg, facts)
    pairs, fallen, lost = [], list(state.fallen), list(state.lost)
    for pair in _standing(rows, state):
        answer = _judge(pair, judges)
        if isinstance(answer, Fallen):
            fallen.append(answer)
        else:
            pairs.append(answer)
            lost += _lost_captions(pair, answer)
    return pairs, PartState(tuple(fallen), tuple(lost))


def _gathered(news: Iterable[News]) -> tuple[PartState, list[groups.Fact]]:
    states: list[PartState] = []
    facts: list[groups.Fact] = []
    for one in news:
        facts += one.facts
        if one.state is not None:
            states.append(one.state)
    if len(states) != 1:
        raise ValueError(f"a part arrived with {len(states)} states: it must have exactly one")
    return states[0], facts


def _standing(rows: Iterable[Pair | Selected], state: PartState) -> Iterator[Pair]:
    fallen = {f.row for f in state.fallen}
    lost: dict[int, set[bytes]] = {}
    for row, caption in state.lost:
        lost.setdefault(row, set()).add(caption)
    for pair in rows:
        if isinstance(pair, Pair) and pair.row not in fallen:
            yield _without(pair, lost[pair.row]) if pair.row in lost else pair


def _without(pair: Pair, lost: set[bytes]) -> Pair:
    return pair._replace(captions=tuple(s for s in pair.captions if s.caption.id not in lost))


def _judges(leg: Leg, facts: list[groups.Fact]) -> list[tuple[str, Judge]]:
    judges: list[tuple[str, Judge]] = [(label, partial(judge_pair, step=step)) for label, step in leg.steps]
    if leg.opening is None:
        return judges
    label, step = leg.opening
    return [(label, groups.judge_by_facts(step, facts)), *judges]


def _judge(pair: Pair, judges: list[tuple[str, Judge]]) -> Pair | Fallen:
    for label, judge in judges:
        answer = judge(pair)
        if isinstance(answer, Drop):
            return Fallen(pair.row, label, answer, best_similarity(pair))
        pair = answer
    return pair


def _lost_captions(before: Pair, after: Pair) -> list[tuple[int, bytes]]:
    if len(before.captions) == len(after.captions):
        return []
    left = {s.caption.id for s in after.captions}
    return [(before.row, s.caption.id) for s in before.captions if s.caption.id not in left]
