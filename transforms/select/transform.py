"""Candidates, images and scores to a selection, wired: one transform a rule that looks at many pairs.

What is shuffled is as lean as it can be: no pair, no text and no kept row, but keys with a standing, and what parts
learn from them. See `walk.py`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsDict, AsSingleton, PCollection, TaggedOutput
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type

from transforms.coders import register
from transforms.select import groups
from transforms.select.groups import Fact, Held, Near, Use
from transforms.select.settings import ExactDuplicateStep, NearDuplicateStep, RepetitionStep, SelectSettings
from transforms.select.walk import Leg, News, PartState, legs_of, walk, write_part

STATES = "states"
PartNews = tuple[str, Iterable[News]]

register(News, Fact, Held, Near, Use)


class Select(beam.PTransform):
    """Stems of `images/` parts to `selection/NAME/`: a row for every candidate, kept or with its reason."""

    def __init__(self, run: str, name: str, settings: SelectSettings) -> None:
        super().__init__()
        self.run, self.name, self.settings = run, name, settings

    def expand(self, parts: PCollection) -> PCollection:
        *legs, last = legs_of(self.settings)
        news = (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Set out" >> beam.Map(lambda part: (part, [News(PartState(), ())])).with_output_types(PartNews)
        )
        for leg in legs:
            assert leg.closing is not None
            label, step = leg.closing
            news = news | label >> RuleOfMany(self.run, leg, step)
        write = partial(write_part, run=self.run, name=self.name, leg=last, max_captions=self.settings.max_captions)
        return news | "Write part" >> beam.MapTuple(write)


class RuleOfMany(beam.PTransform):
    """Takes each part along a leg, gathers what the rule at its end asks, and gives the parts the facts."""

    def __init__(self, run: str, leg: Leg, step: Any) -> None:
        super().__init__()
        self.run, self.leg, self.step = run, leg, step

    def expand(self, news: PCollection) -> PCollection:
        tell, types, find = rule_of(self.step)
        walked = news | "Walk" >> beam.ParDo(Walk(self.run, self.leg, tell)).with_outputs(STATES, main="members")
        members = _typed(walked.members, types)
        return (_typed(walked[STATES], tuple[str, News]), members) | "Find" >> find


def _typed(rows: PCollection, types: Any) -> PCollection:
    """A coder of its own for each output, and the same one on every side of a Flatten."""
    rows.element_type = convert_to_beam_type(types)
    return rows


class Walk(beam.DoFn):
    """A part to what its pairs tell a rule of many, and to its state."""

    def __init__(self, run: str, leg: Leg, tell: Callable[..., Iterable[Any]]) -> None:
        self._run, self._leg, self._tell = run, leg, tell

    def process(self, arrived: tuple[str, Iterable[News]]) -> Iterable[Any]:
        part, news = arrived
        pairs, state = walk(self._run, part, news, self._leg)
        yield from self._tell(part, pairs)
        yield TaggedOutput(STATES, (part, News(state, ())))


def rule_of(step: Any) -> tuple[Callable[..., Iterable[Any]], Any, beam.PTransform]:
    """What a part tells a rule of many, the type of it, and the transform that finds the facts."""
    if isinstance(step, ExactDuplicateStep):
        return groups.bytes_held, tuple[str, Held], ByGroup(groups.same_bytes)
    if isinstance(step, NearDuplicateStep):
        tell = partial(groups.band_members, rules=step)
        return tell, tuple[bytes, Near], ByGroup(partial(near_facts, rules=step))
    if isinstance(step, RepetitionStep):
        return groups.caption_uses, tuple[bytes, Use], ByGroup(partial(groups.repeated, max_images=step.max_images))
    return tell_similarities, tuple[int, bytes], FindCut(step)


def near_facts(band: bytes, members: Iterable[Near], rules: NearDuplicateStep) -> Iterable[tuple[str, Fact]]:
    return groups.near_losers(members, rules)


def tell_similarities(part: str, pairs: Iterable[Any]) -> Iterable[tuple[int, bytes]]:
    return groups.similarities(pairs)


class ByGroup(beam.PTransform):
    """(states, members by key) to what each part learns: `find(key, members)` gives (part, fact)."""

    def __init__(self, find: Callable[..., Iterable[tuple[str, Fact]]]) -> None:
        super().__init__()
        self.find = find

    def expand(self, sides: Any) -> PCollection:  # a pair of them: Beam takes no such hint
        states, members = sides
        facts = (
            members
            | "Group" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMapTuple(self.find)
            | "As news" >> beam.MapTuple(as_news).with_output_types(tuple[str, News])
        )
        return (states, facts) | "All news" >> beam.Flatten() | "News of a part" >> beam.GroupByKey()


def as_news(part: str, fact: Fact) -> tuple[str, News]:
    return part, News(None, (fact,))


class FindCut(beam.PTransform):
    """(states, similarities by bucket) to the cut of a top share; only counts and the cut itself go to every part."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def expand(self, sides: Any) -> PCollection:  # a pair of them: Beam takes no such hint
        states, members = sides
        counts = (
            members
            | "Sizes" >> beam.MapTuple(groups.count_packed).with_output_types(tuple[int, int])
            | "Count" >> beam.CombinePerKey(sum)
        )
        cut = (
            members
            | "One list a bucket" >> beam.GroupByKey()
            | "Cut" >> beam.FlatMap(cut_of, AsDict(_typed(counts, tuple[int, int])), self.step).with_output_types(float)
        )
        return states | "Tell all" >> beam.Map(tell_cut, AsSingleton(cut, -1.0)).with_output_types(PartNews)


def cut_of(bucket: tuple[int, Iterable[bytes]], counts: dict[int, int], step: Any) -> list[float]:
    return groups.cuts(*bucket, counts, step)


def tell_cut(state: tuple[str, News], cut: float) -> tuple[str, list[News]]:
    return state[0], [state[1], News(None, (Fact(b"", cut),))]
