"""Candidates, images and scores to a selection, wired: one transform a rule, every drop in one place."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsDict, PCollection, TaggedOutput

import transforms.coders  # noqa: F401 - registers the record coders
from filters.near_duplicate import NearDuplicateRules
from filters.reasons import Drop
from transforms import parquet, storage
from transforms.records import Pair, Selected
from transforms.select import groups
from transforms.select.judge import judge_pair
from transforms.select.pairs import best_similarity, dropped, kept, read_part
from transforms.select.settings import (
    ExactDuplicateStep,
    NearDuplicateStep,
    RepetitionStep,
    ScoreStep,
    SelectSettings,
)

DROPS = "drops"


class Select(beam.PTransform):
    """Stems of `images/` parts to `selection/NAME/`: a row for every candidate, kept or with its reason."""

    def __init__(self, run: str, name: str, settings: SelectSettings) -> None:
        super().__init__()
        self.run, self.name, self.settings = run, name, settings

    def expand(self, parts: PCollection) -> PCollection:
        pairs, failed = (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Read pairs" >> beam.ParDo(ReadPairs(), self.run).with_outputs(DROPS, main="pairs")
        )
        fates = [_typed(failed, Selected)]
        pairs = _typed(pairs, Pair)
        for label, step in zip(self.settings.labels(), self.settings.rules, strict=True):
            pairs, drops = pairs | label >> rule_transform(label, step)
            fates.append(drops)
        fates.append(pairs | "Keep" >> beam.Map(kept, self.settings.max_captions).with_output_types(Selected))
        return (
            fates
            | "All fates" >> beam.Flatten()
            | "By part" >> beam.Map(by_part).with_output_types(tuple[str, Selected])
            | "One list a part" >> beam.GroupByKey()
            | "Write part" >> beam.MapTuple(partial(write_part, run=self.run, name=self.name))
        )


def _typed(rows: PCollection, record: type) -> PCollection:
    """Every side of a Flatten needs the same type on every runner."""
    rows.element_type = record
    return rows


class ReadPairs(beam.DoFn):
    """Pairs of a part on the main output, candidates that were never fetched among the drops."""

    def process(self, stem: str, run: str) -> Iterable[Any]:
        for row in read_part(run, stem):
            yield row if isinstance(row, Pair) else TaggedOutput(DROPS, row)


def by_part(row: Selected) -> tuple[str, Selected]:
    return row.part, row


def write_part(part: str, rows: Iterable[Selected], run: str, name: str) -> str:
    ordered = sorted(rows, key=lambda r: r.row)
    expected = parquet.count_rows(storage.join(run, "images", f"{part}.parquet"))
    if [r.row for r in ordered] != list(range(expected)):
        raise ValueError(f"{part}: {len(ordered)} fates for {expected} candidates: every one must have exactly one")
    parquet.write_rows(storage.join(run, "selection", name, f"{part}.parquet"), Selected, ordered)
    return part


def rule_transform(label: str, step: Any) -> beam.PTransform:
    """The transform of a rule: most look at one pair alone, some need groups."""
    if isinstance(step, ExactDuplicateStep):
        return ExactDuplicates(label)
    if isinstance(step, NearDuplicateStep):
        return NearDuplicates(label, step)
    if isinstance(step, RepetitionStep):
        return Repetition(label, step)
    if isinstance(step, ScoreStep) and step.top_share is not None:
        return TopShare(label, step)
    return OnePair(label, step)


class Split(beam.DoFn):
    """(pair, its drop or None) into the two outputs."""

    def __init__(self, label: str) -> None:
        self._label = label

    def process(self, judged: tuple[Pair, Drop | None]) -> Iterable[Any]:
        pair, drop = judged
        yield pair if drop is None else TaggedOutput(DROPS, dropped(pair, self._label, drop))


def split(judged: PCollection, label: str) -> tuple[PCollection, PCollection]:
    outputs = judged | "Split" >> beam.ParDo(Split(label)).with_outputs(DROPS, main="pairs")
    return _typed(outputs.pairs, Pair), _typed(outputs[DROPS], Selected)


class OnePair(beam.PTransform):
    """A rule that needs nothing but the pair."""

    def __init__(self, label: str, step: Any) -> None:
        super().__init__()
        self.name, self.step = label, step

    def expand(self, pairs: PCollection) -> tuple[PCollection, PCollection]:
        return split(pairs | "Judge" >> beam.Map(judged, self.step), self.name)


def judged(pair: Pair, step: Any) -> tuple[Pair, Drop | None]:
    answer = judge_pair(pair, step)
    return (pair, answer) if isinstance(answer, Drop) else (answer, None)


class ExactDuplicates(beam.PTransform):
    """Pairs whose images have the same bytes: the best stays."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.name = label

    def expand(self, pairs: PCollection) -> tuple[PCollection, PCollection]:
        fates = (
            pairs
            | "By sha256" >> beam.Map(lambda p: (p.sha256, p)).with_output_types(tuple[str, Pair])
            | "Same bytes" >> beam.GroupByKey()
            | "Best stays" >> beam.FlatMap(lambda kv: groups.exact_losers(kv[1]))
        )
        return split(fates, self.name)


class NearDuplicates(beam.PTransform):
    """Pairs within a Hamming radius of a better one: bands find who may be near, then all of a band are compared."""

    def __init__(self, label: str, rules: NearDuplicateRules) -> None:
        super().__init__()
        self.name, self.rules = label, rules

    def expand(self, pairs: PCollection) -> tuple[PCollection, PCollection]:
        losses = (
            pairs
            | "Bands" >> beam.FlatMap(groups.band_keys, self.rules)
            | "Same band" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMap(lambda kv, rules: groups.near_losers(kv[1], rules), self.rules)
            | "Nearest" >> beam.CombinePerKey(groups.nearest)
        )
        fates = joined(pairs, losses) | "Decide" >> beam.FlatMap(near_fate)
        return split(fates, self.name)


def joined(pairs: PCollection, facts: PCollection) -> PCollection:
    """(uid, {"pairs": [pair], "facts": [...]}) of pairs and of what was found about some of them."""
    keyed = pairs | "By uid" >> beam.Map(lambda p: (p.uid, p)).with_output_types(tuple[bytes, Pair])
    return {"pairs": keyed, "facts": facts} | "Join" >> beam.CoGroupByKey()


def near_fate(row: tuple[bytes, dict[str, Any]]) -> Iterable[tuple[Pair, Drop | None]]:
    losses = list(row[1]["facts"])
    for pair in row[1]["pairs"]:
        yield pair, groups.near_drop(losses[0]) if losses else None


class Repetition(beam.PTransform):
    """Texts that stand at too many images fall; a pair falls with its last text."""

    def __init__(self, label: str, step: RepetitionStep) -> None:
        super().__init__()
        self.name, self.step = label, step

    def expand(self, pairs: PCollection) -> tuple[PCollection, PCollection]:
        uses = pairs | "Uses" >> beam.FlatMap(caption_uses).with_output_types(tuple[bytes, bytes])
        counts = uses | "Count" >> beam.combiners.Count.PerKey() | "Too many" >> beam.Filter(
            lambda kv, most: kv[1] > most, self.step.max_images
        )  # fmt: skip
        facts = (
            {"uids": uses, "counts": counts}
            | "Who uses them" >> beam.CoGroupByKey()
            | "Tell each" >> beam.FlatMap(repeated_facts)
        )
        fates = joined(pairs, facts) | "Decide" >> beam.FlatMap(repetition_fate, self.step.max_images)
        return split(fates, self.name)


def caption_uses(pair: Pair) -> list[tuple[bytes, bytes]]:
    return [(scored.caption.id, pair.uid) for scored in pair.captions]


def repeated_facts(row: tuple[bytes, dict[str, Any]]) -> Iterable[tuple[bytes, tuple[bytes, int]]]:
    for count in row[1]["counts"]:
        for uid in row[1]["uids"]:
            yield uid, (row[0], count)


def repetition_fate(row: tuple[bytes, dict[str, Any]], most: int) -> Iterable[tuple[Pair, Drop | None]]:
    counts = dict(row[1]["facts"])
    for pair in row[1]["pairs"]:
        answer = groups.without_repeated(pair, counts, most)
        yield (pair, answer) if isinstance(answer, Drop) else (answer, None)


class TopShare(beam.PTransform):
    """The share of pairs with the highest similarity stays; how often each value occurs is all that is gathered."""

    def __init__(self, label: str, step: ScoreStep) -> None:
        super().__init__()
        self.name, self.step = label, step

    def expand(self, pairs: PCollection) -> tuple[PCollection, PCollection]:
        counts = (
            pairs
            | "Similarity" >> beam.Map(best_similarity)
            | "Measured" >> beam.Filter(lambda s: s is not None)
            | "Count" >> beam.combiners.Count.PerElement()
        )
        return split(pairs | "Judge" >> beam.Map(top_share_fate, self.step, AsDict(counts)), self.name)


def top_share_fate(pair: Pair, step: ScoreStep, counts: dict[float, int]) -> tuple[Pair, Drop | None]:
    return pair, groups.top_share_drop(pair, counts, step)
