"""Compares what a run made of the demo's web with the truth, reason by reason."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from pipeline.demo.kinds import BY_NAME, KEPT
from pipeline.demo.settings import DemoSettings
from pipeline.demo.truth import truth

LOST = "nowhere"  # of an image that the run does not mention
SCORED_OUT = "score_too_low"
SHARES = {"random_wrong": 0.95, "hard_wrong": 0.70}  # of the wrong captions, at least
CLEAN_SHARE = 0.98  # of what should be kept
COPIES = ("exact_copy", "near_copy")


class Line(NamedTuple):
    """One kind of image: how many were planted and what became of them."""

    kind: str
    fate: str
    planted: int
    found: int  # with the fate that they should have
    wanted: float  # share that is enough
    others: str  # the other fates, counted

    @property
    def passed(self) -> bool:
        return self.found >= self.wanted * self.planted


def check_run(run: Path, settings: DemoSettings, selection: str = "main") -> tuple[list[Line], list[str]]:
    """The table, and what is wrong with the run: one sentence each. Raises OSError where files are missing."""
    rows = truth(settings).to_pylist()
    fates = read_fates(run, selection)
    lines = compare(rows, fates)
    wrong = [f"{line.kind}: {line.found} of {line.planted} are {line.fate}" for line in lines if not line.passed]
    wrong += unknown(rows, fates)
    return lines, wrong + funnel_faults(json.loads((run / "stats.json").read_text())["funnel"])


def read_fates(run: Path, selection: str) -> dict[bytes, str]:
    """What became of each uid: "kept" or a reason. A candidate's fate outweighs that of a dropped occurrence."""
    fates: dict[bytes, str] = {}
    for path in sorted((run / "rejects").glob("*.parquet")):
        for row in pq.read_table(path, columns=["uid", "reason"]).to_pylist():
            fates.setdefault(row["uid"], row["reason"])
    folder = run / "selection" / selection
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no selection; run select first")
    for path in paths:
        for row in pq.read_table(path, columns=["uid", "kept", "reason"]).to_pylist():
            fates[row["uid"]] = KEPT if row["kept"] else row["reason"]
    return fates


def compare(rows: Sequence[Mapping[str, Any]], fates: Mapping[bytes, str]) -> list[Line]:
    """A line for each kind, in the order of kinds.py. Originals of copies are judged with their copies."""
    groups = _copy_groups(rows)
    originals = {row["copy_of"] for row in rows if row["copy_of"]}
    found: dict[str, list[str]] = {name: [] for name in BY_NAME}
    for row in rows:
        if not row["copy_of"] and row["url"] not in originals:
            found[row["kind"]].append(fates.get(row["uid"], LOST))
    lines = []
    for name, kind in BY_NAME.items():
        if name in COPIES:
            lines.append(_copies_line(name, kind.fate, groups.get(name, []), fates))
        elif found[name]:
            lines.append(_line(name, kind.fate, found[name]))
    return lines


def _line(kind: str, fate: str, found: Sequence[str]) -> Line:
    counts = Counter(found)
    right = counts.pop(fate, 0)
    if kind in SHARES:
        right = len(found) - counts.get(KEPT, 0)  # dropped is dropped
    wanted = CLEAN_SHARE if fate == KEPT else SHARES.get(kind, 1.0)
    return Line(kind, fate, len(found), right, wanted, _outcomes_text(counts))


def _outcomes_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()))


def _copy_groups(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[list[bytes]]]:
    """The uids of every original and its copies, by the kind of the copies."""
    rows = list(rows)
    uid_of = {row["url"]: row["uid"] for row in rows}
    members: dict[tuple[str, str], list[bytes]] = {}
    for row in rows:
        if row["copy_of"]:
            members.setdefault((row["kind"], row["copy_of"]), [uid_of[row["copy_of"]]]).append(row["uid"])
    groups: dict[str, list[list[bytes]]] = {}
    for (kind, _), uids in members.items():
        groups.setdefault(kind, []).append(uids)
    return groups


def _copies_line(kind: str, fate: str, groups: Sequence[Sequence[bytes]], fates: Mapping[bytes, str]) -> Line:
    """A group is right when one member stays and the others are duplicates; what the scorer dropped does not count."""
    right, outcomes = 0, Counter[str]()
    for group in groups:
        found = [fates.get(uid, LOST) for uid in group]
        judged = [f for f in found if f != SCORED_OUT]
        if Counter(judged) == Counter([KEPT] * min(1, len(judged)) + [fate] * (len(judged) - 1)):
            right += 1
        else:
            outcomes.update(found)
    return Line(kind, fate, len(groups), right, 1.0, _outcomes_text(outcomes))


def unknown(rows: Iterable[Mapping[str, Any]], fates: Mapping[bytes, str]) -> Iterator[str]:
    """Kept images that the web does not have."""
    known = {row["uid"] for row in rows}
    for uid, fate in fates.items():
        if fate == KEPT and uid not in known:
            yield f"{uid.hex()} was kept, but is no image of the demo"


def funnel_faults(funnel: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the funnel does not sum: within a step, or from a step to the next one of the same unit."""
    faults = []
    for place, step in enumerate(funnel):
        name = f"{step['stage']}/{step['step']}"
        out = step["rows_out"] + step["merged"] + sum(step["rejects"].values())
        if step["rows_in"] != out:
            faults.append(f"funnel: {name} has {step['rows_in']} rows in, {out} accounted for")
        if place and funnel[place - 1]["rows_out"] != step["rows_in"]:
            faults.append(f"funnel: {funnel[place - 1]['rows_out']} rows before {name}, {step['rows_in']} into it")
    return faults or ([] if funnel else ["funnel: stats.json has none"])


def table(lines: Sequence[Line]) -> str:
    """The lines for a terminal."""
    head = f"{'kind':<18}{'should be':<22}{'planted':>8}{'found':>7}{'wanted':>8}   otherwise"
    body = [
        f"{n.kind:<18}{n.fate:<22}{n.planted:>8}{n.found:>7}{n.wanted:>8.0%} {'  ' if n.passed else '! '}{n.others}"
        for n in lines
    ]
    return "\n".join([head, *body])
