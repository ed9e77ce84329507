"""Pages and tables to candidates, wired: read, judge, one row an image, write. Logic is in the functions it names."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.utils.shared import Shared

from filters.caption import judge_caption_early
from filters.contact import redact
from filters.language import LanguageRules, effective_language
from filters.reasons import Drop, Reason
from filters.url import UrlRules, judge_url
from transforms import run_dir, storage
from transforms.coders import RecordCoder
from transforms.collect import merge
from transforms.collect.early import early_judgements
from transforms.collect.language import load_identifier
from transforms.collect.settings import CollectSettings
from transforms.formats import parquet
from transforms.keep import Judgement, Keep
from transforms.partition import partition_of, stable_bytes
from transforms.records import Candidate, Merged, Occurrence, PageSeen, Reject, Stored, Unit
from transforms.sources.base import Reading
from transforms.web.settings import WebSettings

REJECTS, PAGES, STORED = "rejects", "pages", "stored"


def collect_steps(settings: CollectSettings) -> list[str]:
    """The steps at which an occurrence, then a candidate, can be dropped, in order."""
    stored = ["stored"] if settings.warc is not None and settings.warc.images == "only" else []
    return ["page", "url", "caption", *(["early"] if settings.judge_early else []), *stored]


class Collect(beam.PTransform):
    """Units of input to `candidates/` and `rejects/`: one row an image, with all that the web says of it."""

    def __init__(self, run: str, settings: CollectSettings, web: WebSettings, early: Sequence[Any] = ()) -> None:
        super().__init__()
        self.run, self.settings, self.web, self.early = run, settings, web, early

    def expand(self, units: PCollection) -> tuple[PCollection, ...]:
        read = (
            units
            | "Spread files" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(ReadUnit(self.run, self.settings, self.web))
            .with_outputs(REJECTS, PAGES, STORED, main="occurrences")
        )  # fmt: skip
        occurrences, early_rejects = typed(read.occurrences, Occurrence) | "Judge" >> Keep(
            *judgements(self.settings.url, self.early), reject=reject, kept_type=Occurrence, reject_type=Reject
        )
        candidates = occurrences | "One row an image" >> MergeCaptions(self.settings.max_captions)
        # Before images that no archive holds fall: a crawl and its archive are then of the same languages.
        languages = candidates | "Write languages" >> WriteLanguages(self.run)
        rejects = [typed(read[REJECTS], Reject), early_rejects]
        if self.settings.warc is not None and self.settings.warc.images != "ignore":
            only = self.settings.warc.images == "only"
            candidates, missing = candidates | "Stored images" >> TakeStored(typed(read[STORED], Stored), only)
            rejects.append(missing)
        all_rejects = rejects | "All rejects" >> beam.Flatten()
        parts = self.settings.parts
        return (
            candidates | "Write candidates" >> WriteParts(self.run, run_dir.CANDIDATES, "part", Candidate, parts),
            typed(read[PAGES], PageSeen)
            | "Write pages" >> WriteParts(self.run, run_dir.CANDIDATES, "pages", PageSeen, parts),
            all_rejects | "Write rejects" >> WriteParts(self.run, run_dir.REJECTS, "part", Reject, parts),
            languages,
        )


def typed(rows: PCollection, record: type) -> PCollection:
    """Every side of a Flatten needs the same type on every runner."""
    rows.element_type = record
    return rows


class ReadUnit(beam.DoFn):
    """A file's rows, each kind on its own output. The language model is loaded once a process."""

    def __init__(self, run: str, settings: CollectSettings, web: WebSettings) -> None:
        self._run, self._settings, self._web = run, settings, web
        self._shared = Shared()
        self._reading: Reading | None = None

    def setup(self) -> None:
        identify = self._shared.acquire(lambda: load_identifier(self._settings.language))
        self._reading = Reading(self._settings.html, self._web, identify)

    def process(self, unit: Unit) -> Iterable[Any]:
        assert self._reading is not None
        source = self._settings.all_sources()[unit.source]
        tags = {Reject: REJECTS, PageSeen: PAGES, Stored: STORED}
        for row in source.read(unit, storage.join(self._run, unit.path), self._reading):
            tag = tags.get(type(row))
            yield row if tag is None else TaggedOutput(tag, row)


def judgements(url: UrlRules, early: Sequence[Any]) -> list[Judgement]:
    steps = [
        Judgement("url", judge_occurrence_url, (url,)),
        Judgement("caption", judge_occurrence_caption),
    ]
    return [*steps, *early_judgements(early)]


def judge_occurrence_url(occurrence: Occurrence, rules: UrlRules) -> Drop | None:
    if occurrence.source.path and not occurrence.url:
        return None  # a sample that was adopted without url
    return judge_url(occurrence.url, rules)


def judge_occurrence_caption(occurrence: Occurrence) -> Drop | None:
    return judge_caption_early(occurrence.caption.text)


def reject(occurrence: Occurrence, step: str, drop: Drop) -> Reject:
    """The row that remembers a drop; private data stay out of it."""
    caption = occurrence.caption
    return Reject(step, "occurrence", occurrence.uid, occurrence.url, caption.page_url, redact(caption.text),
                  str(drop.reason), drop.value, drop.detail)  # fmt: skip


class MergeCaptions(beam.PTransform):
    """Occurrences to candidates: the url merge, in one associative step."""

    def __init__(self, max_captions: int) -> None:
        super().__init__()
        self.max_captions = max_captions

    def expand(self, occurrences: PCollection) -> PCollection:
        return (
            occurrences
            | "By uid" >> beam.Map(lambda o: (o.uid, merge.merged(o))).with_output_types(tuple[bytes, Merged])
            | "Merge" >> beam.CombinePerKey(MergeFn())
            | "Candidate"
            >> beam.MapTuple(partial(merge.candidate_of, max_captions=self.max_captions)).with_output_types(Candidate)
        )


class MergeFn(beam.CombineFn):
    """Accumulates at most one Merged; it crosses the shuffle with a coder of its own."""

    def create_accumulator(self) -> tuple[Merged, ...]:
        return ()

    def add_input(self, accumulator: tuple[Merged, ...], element: Merged) -> tuple[Merged, ...]:
        return (merge.merge([*accumulator, element]),)

    def merge_accumulators(self, accumulators: Iterable[tuple[Merged, ...]]) -> tuple[Merged, ...]:
        parts = [m for accumulator in accumulators for m in accumulator]
        return (merge.merge(parts),) if parts else ()

    def extract_output(self, accumulator: tuple[Merged, ...]) -> Merged:
        return accumulator[0]

    def get_accumulator_coder(self) -> RecordCoder:
        return RecordCoder(tuple[Merged, ...])


class TakeStored(beam.PTransform):
    """Candidates whose image lies in an archive get its range; with `only`, the others are dropped."""

    def __init__(self, stored: PCollection, only: bool) -> None:
        super().__init__()
        self.stored, self.only = stored, only

    def expand(self, candidates: PCollection) -> tuple[PCollection, PCollection]:
        sides = {
            "candidates": candidates
            | "By uid" >> beam.Map(lambda c: (c.uid, c)).with_output_types(tuple[bytes, Candidate]),
            "stored": self.stored
            | "Stored by uid" >> beam.Map(lambda s: (s.uid, s)).with_output_types(tuple[bytes, Stored]),
        }
        outputs = (
            sides
            | "Join" >> beam.CoGroupByKey()
            | "Take" >> beam.FlatMap(take_stored, self.only).with_outputs(REJECTS, main="candidates")
        )
        return typed(outputs.candidates, Candidate), typed(outputs[REJECTS], Reject)


def take_stored(row: tuple[bytes, dict[str, Any]], only: bool) -> Iterable[Any]:
    ranges = sorted(s.source for s in row[1]["stored"])
    for candidate in row[1]["candidates"]:
        if ranges:
            yield candidate._replace(source=ranges[0])
        elif only:
            yield TaggedOutput(REJECTS, not_stored(candidate))
        else:
            yield candidate


def not_stored(candidate: Candidate) -> Reject:
    """The value is the number of occurrences that fall with the candidate."""
    caption = candidate.captions[0]
    return Reject("stored", "candidate", candidate.uid, candidate.url, caption.page_url, redact(caption.text),
                  str(Reason.NOT_STORED), float(candidate.occurrences), "")  # fmt: skip


class WriteLanguages(beam.PTransform):
    """How many captions of each language there are, `und` where it is not sure, to `candidates/languages.json`."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run

    def expand(self, candidates: PCollection) -> PCollection:
        return (
            candidates
            | "Language"
            >> beam.FlatMap(
                lambda candidate: [
                    (effective_language(caption.language, caption.probability, LanguageRules()), 1)
                    for caption in candidate.captions
                ]
            ).with_output_types(tuple[str, int])
            | "Count" >> beam.CombinePerKey(sum)
            | "As one" >> beam.Map(lambda count: (0, count)).with_output_types(tuple[int, tuple[str, int]])
            | "One list" >> beam.GroupByKey()
            | "Write" >> beam.MapTuple(partial(write_languages, path=run_dir.languages(self.run)))
        )


def write_languages(_: int, counts: Iterable[tuple[str, int]], path: str) -> None:
    storage.publish(path, json.dumps(dict(sorted(counts))).encode())


class WriteParts(beam.PTransform):
    """Rows to `<folder>/<prefix>-NNNNN.parquet`, each part sorted: the same rows give the same files."""

    def __init__(self, run: str, folder: str, prefix: str, record: type, parts: int) -> None:
        super().__init__()
        self.run, self.folder, self.prefix, self.record, self.parts = run, folder, prefix, record, parts

    def expand(self, rows: PCollection) -> PCollection:
        return (
            rows
            | "By part" >> beam.Map(by_part, self.parts).with_output_types(tuple[int, self.record])  # type: ignore[name-defined]
            | "One list a part" >> beam.GroupByKey()
            | "Write"
            >> beam.MapTuple(
                partial(write_part, folder=storage.join(self.run, self.folder), prefix=self.prefix, record=self.record)
            )
        )


def by_part(row: Any, parts: int) -> tuple[int, Any]:
    key = row.uid if hasattr(row, "uid") else stable_bytes(row.page_url)
    return partition_of(key, parts), row


def write_part(part: int, rows: Iterable[Any], folder: str, prefix: str, record: type) -> int:
    ordered = sorted(rows, key=lambda row: (row.uid, repr(row)) if hasattr(row, "uid") else (b"", repr(row)))
    parquet.write_rows(storage.join(folder, f"{prefix}-{part:05d}.parquet"), record, ordered)
    return len(ordered)
