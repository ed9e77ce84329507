"""The passes over a part. Pure.

A rule that compares pairs ends a pass. Between two passes only what was decided (`PartState`) and what such a rule
found out about groups (`GroupResult`) crosses a shuffle; the pairs themselves are read again from their part.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from filters.reasons import Drop
from transforms import run_dir
from transforms.formats import parquet
from transforms.records import Pair, Selected
from transforms.select.caption_choice import Preference
from transforms.select.pairs import best_similarity, dropped, kept, read_part
from transforms.select.rules.base import GroupResult, Judge
from transforms.select.settings import SelectSettings


class DroppedPair(NamedTuple):
    """A pair that a rule dropped."""

    row: int  # its index in the part
    step: str
    drop: Drop
    similarity: float | None  # of its best caption when it was dropped


class PartState(NamedTuple):
    """What was decided of a part's pairs so far."""

    dropped: tuple[DroppedPair, ...] = ()
    lost: tuple[tuple[int, bytes], ...] = ()  # (row, caption id): dropped captions of surviving pairs


class PartUpdate(NamedTuple):
    """What reaches a part between two passes: its own state once, and each result about its groups."""

    state: PartState | None
    results: tuple[GroupResult, ...]


class Pass(NamedTuple):
    """One reading of a part: the results of a rule that compares pairs are applied, then local rules, up to the next
    rule that compares pairs. Each rule comes with its label in the funnel."""

    applied: tuple[str, Any] | None  # None in the first pass
    local: tuple[tuple[str, Any], ...]
    next_rule: tuple[str, Any] | None  # None in the last pass


def split_into_passes(settings: SelectSettings) -> list[Pass]:
    """The rules, split at each that compares pairs; always at least one pass."""
    passes: list[Pass] = []
    applied: tuple[str, Any] | None = None
    local: list[tuple[str, Any]] = []
    for labelled in zip(settings.labels(), settings.rules, strict=True):
        if labelled[1].compares_pairs():
            passes.append(Pass(applied, tuple(local), labelled))
            applied, local = labelled, []
        else:
            local.append(labelled)
    return [*passes, Pass(applied, tuple(local), None)]


def run_pass(run: str, part: str, updates: Iterable[PartUpdate], pass_: Pass) -> tuple[list[Pair], PartState]:
    """The pairs of a part that survive a pass, and the state for the next one."""
    return _run_pass(read_part(run, part), updates, pass_)


def final_rows(
    run: str, part: str, updates: Iterable[PartUpdate], pass_: Pass, max_captions: int, first: Preference
) -> list[Selected]:
    """A row for each candidate of a part, in its order, after the last pass."""
    rows = list(read_part(run, part))
    pairs, state = _run_pass(rows, updates, pass_)
    survivors = {pair.row: pair for pair in pairs}
    drops = {drop.row: drop for drop in state.dropped}
    final = []
    for row in rows:
        if isinstance(row, Selected):
            final.append(row)
        elif row.row in survivors:
            final.append(kept(survivors[row.row], max_captions, first))
        else:
            drop = drops[row.row]
            final.append(dropped(row, drop.step, drop.drop, drop.similarity))
    return final


def write_part(
    part: str,
    updates: Iterable[PartUpdate],
    run: str,
    name: str,
    pass_: Pass,
    max_captions: int,
    first: Preference,
) -> str:
    rows = final_rows(run, part, updates, pass_, max_captions, first)
    parquet.write_rows(run_dir.selected_rows(run, name, part), Selected, rows)
    return part


def _run_pass(
    rows: Iterable[Pair | Selected], updates: Iterable[PartUpdate], pass_: Pass
) -> tuple[list[Pair], PartState]:
    state, results = _merged(updates)
    judges = _judges(pass_, results)
    pairs, drops, lost = [], list(state.dropped), list(state.lost)
    for pair in _surviving(rows, state):
        answer = _judge(pair, judges)
        if isinstance(answer, DroppedPair):
            drops.append(answer)
        else:
            pairs.append(answer)
            lost += _lost_captions(pair, answer)
    return pairs, PartState(tuple(drops), tuple(lost))


def _merged(updates: Iterable[PartUpdate]) -> tuple[PartState, list[GroupResult]]:
    states: list[PartState] = []
    results: list[GroupResult] = []
    for update in updates:
        results += update.results
        if update.state is not None:
            states.append(update.state)
    # A lost or doubled state would keep dropped pairs, or count them twice, without a sign of it.
    if len(states) != 1:
        raise ValueError(f"a part arrived with {len(states)} states: it must have exactly one")
    return states[0], results


def _surviving(rows: Iterable[Pair | Selected], state: PartState) -> Iterator[Pair]:
    """The pairs that no pass has dropped, without the captions they have lost."""
    gone = {drop.row for drop in state.dropped}
    lost: dict[int, set[bytes]] = {}
    for row, caption in state.lost:
        lost.setdefault(row, set()).add(caption)
    for pair in rows:
        if isinstance(pair, Pair) and pair.row not in gone:
            missing = lost.get(pair.row, set())
            left = tuple(s for s in pair.captions if s.caption.id not in missing)
            yield pair._replace(captions=left) if missing else pair


def _judges(pass_: Pass, results: list[GroupResult]) -> list[tuple[str, Judge]]:
    judges: list[tuple[str, Judge]] = [(label, rule.judge) for label, rule in pass_.local]
    if pass_.applied is None:
        return judges
    label, rule = pass_.applied
    return [(label, rule.apply(results)), *judges]


def _judge(pair: Pair, judges: list[tuple[str, Judge]]) -> Pair | DroppedPair:
    for label, judge in judges:
        answer = judge(pair)
        if isinstance(answer, Drop):
            return DroppedPair(pair.row, label, answer, best_similarity(pair))
        pair = answer
    return pair


def _lost_captions(before: Pair, after: Pair) -> list[tuple[int, bytes]]:
    if len(before.captions) == len(after.captions):
        return []
    left = {s.caption.id for s in after.captions}
    return [(before.row, s.caption.id) for s in before.captions if s.caption.id not in left]
