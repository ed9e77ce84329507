"""Candidates, images and scores to a selection, wired: one transform for each rule that compares pairs.

What is shuffled is as lean as it can be: no pair, no text and no kept row, but keys with partial aggregates, and the
results about the groups of a part. See `passes.py`.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsDict, AsIter, PCollection, TaggedOutput
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type

from transforms.coders import register
from transforms.select.caption_choice import NO_PREFERENCE, Preference
from transforms.select.passes import PartState, PartUpdate, Pass, run_pass, split_into_passes, write_part
from transforms.select.rules.base import CrossPairRule, GlobalRule, GroupResult
from transforms.select.settings import SelectSettings

STATES = "states"
PartUpdates = tuple[str, Iterable[PartUpdate]]

register(PartUpdate, GroupResult)


class Select(beam.PTransform):
    """Stems of `images/` parts to `selection/NAME/`: a row for every candidate, kept or with its reason.

    `first`: the captions that go first where scores do not decide.
    """

    def __init__(self, run: str, name: str, settings: SelectSettings, first: Preference = NO_PREFERENCE) -> None:
        super().__init__()
        self.run, self.name, self.settings, self.first = run, name, settings, first

    def expand(self, parts: PCollection) -> PCollection:
        *passes, last = split_into_passes(self.settings)
        updates = (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Initial state"
            >> beam.Map(lambda part: (part, [PartUpdate(PartState(), ())])).with_output_types(PartUpdates)
        )
        for pass_ in passes:
            assert pass_.next_rule is not None
            label, rule = pass_.next_rule
            updates = updates | label >> ComparePairs(self.run, pass_, rule)
        write = partial(
            write_part,
            run=self.run,
            name=self.name,
            pass_=last,
            max_captions=self.settings.max_captions,
            first=self.first,
        )
        return updates | "Write part" >> beam.MapTuple(write)


class ComparePairs(beam.PTransform):
    """Runs a pass over each part, gathers what the rule at its end maps, and gives the parts its results."""

    def __init__(self, run: str, pass_: Pass, rule: CrossPairRule | GlobalRule) -> None:
        super().__init__()
        self.run, self.pass_, self.rule = run, pass_, rule

    def expand(self, updates: PCollection) -> PCollection:
        rule = self.rule
        if hasattr(rule.aggregate_type, "_fields"):  # a NamedTuple, which Beam would pickle
            register(rule.aggregate_type)
        mapped = updates | "Map part" >> beam.ParDo(MapPart(self.run, self.pass_, rule)).with_outputs(
            STATES, main="aggregates"
        )
        states = _typed(mapped[STATES], tuple[str, PartUpdate])
        aggregates = _typed(mapped.aggregates, tuple[rule.key_type, rule.aggregate_type])  # type: ignore[name-defined]
        combine = CombineAll(rule) if isinstance(rule, GlobalRule) else CombineGroups(rule)
        return (states, aggregates) | "Combine" >> combine


def _typed(rows: PCollection, types: Any) -> PCollection:
    """A coder of its own for each output, and the same one on every side of a Flatten."""
    rows.element_type = convert_to_beam_type(types)
    return rows


class MapPart(beam.DoFn):
    """A part to the partial aggregates of its pairs, and to its state."""

    def __init__(self, run: str, pass_: Pass, rule: CrossPairRule | GlobalRule) -> None:
        self._run, self._pass, self._rule = run, pass_, rule

    def process(self, arrived: tuple[str, Iterable[PartUpdate]]) -> Iterable[Any]:
        part, updates = arrived
        pairs, state = run_pass(self._run, part, updates, self._pass)
        yield from self._rule.map_part(part, pairs)
        yield TaggedOutput(STATES, (part, PartUpdate(state, ())))


class CombineGroups(beam.PTransform):
    """(states, aggregates by key) to the updates of each part: its state, and the results about its groups."""

    def __init__(self, rule: CrossPairRule) -> None:
        super().__init__()
        self.rule = rule

    def expand(self, sides: Any) -> PCollection:  # a pair of them: Beam takes no such hint
        states, aggregates = sides
        results = (
            aggregates
            | "Group" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMap(group_updates, self.rule).with_output_types(tuple[str, PartUpdate])
        )
        return (states, results) | "Merge updates" >> beam.Flatten() | "Updates of a part" >> beam.GroupByKey()


def group_updates(group: tuple[Any, Iterable[Any]], rule: CrossPairRule) -> Iterable[tuple[str, PartUpdate]]:
    for part, result in rule.combine(*group):
        yield part, PartUpdate(None, (result,))


class CombineAll(beam.PTransform):
    """(states, aggregates by key) to the updates of each part, the same results for all of them.

    Only the counts by key and the results go to every worker.
    """

    def __init__(self, rule: GlobalRule) -> None:
        super().__init__()
        self.rule = rule

    def expand(self, sides: Any) -> PCollection:  # a pair of them: Beam takes no such hint
        states, aggregates = sides
        counts = (
            aggregates
            | "Sizes" >> beam.Map(count_of, self.rule).with_output_types(tuple[self.rule.key_type, int])  # type: ignore[name-defined]
            | "Count" >> beam.CombinePerKey(sum)
        )
        by_key = AsDict(_typed(counts, tuple[self.rule.key_type, int]))  # type: ignore[name-defined]
        results = (
            aggregates
            | "Group" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMap(global_results, by_key, self.rule).with_output_types(GroupResult)
        )
        return states | "Tell all" >> beam.Map(with_results, AsIter(results)).with_output_types(PartUpdates)


def count_of(aggregate: tuple[Any, Any], rule: GlobalRule) -> tuple[Any, int]:
    return aggregate[0], rule.count(aggregate[1])


def global_results(group: tuple[Any, Iterable[Any]], counts: dict[Any, int], rule: GlobalRule) -> Iterable[GroupResult]:
    return rule.combine(*group, counts)


def with_results(state: tuple[str, PartUpdate], results: Iterable[GroupResult]) -> tuple[str, list[PartUpdate]]:
    return state[0], [state[1], PartUpdate(None, tuple(results))]
