"""Candidates to images, wired: plan the tasks, then fetch them. The logic is in the functions it names."""

from collections.abc import Iterable
from functools import partial

import apache_beam as beam

import transforms.coders  # noqa: F401 - registers the record coders
from filters.url import host_of
from transforms import parquet, storage
from transforms.fetch.download import TaskResult, fetch_task
from transforms.fetch.plan import plan_rows, stem
from transforms.fetch.settings import FetchSettings
from transforms.lease import while_held
from transforms.partition import task_of
from transforms.records import Candidate, PlanRow
from transforms.web.loop import run_async
from transforms.web.settings import WebSettings


class PlanFetch(beam.PTransform):
    """Candidate files to `images/plan/`: one file a task, its rows in the order of asking."""

    def __init__(self, run: str, round_: int, tasks: int, settings: FetchSettings) -> None:
        super().__init__()
        self.run, self.round, self.tasks, self.settings = run, round_, tasks, settings

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return (
            files
            | "Spread files" >> beam.Reshuffle()
            | "Read candidates" >> beam.FlatMap(read_candidates).with_output_types(Candidate)
            | "Owner of the host" >> beam.Map(owned, self.tasks).with_output_types(tuple[int, Candidate])
            | "One list a task" >> beam.GroupByKey()
            | "Write plan"
            >> beam.MapTuple(partial(write_plan, run=self.run, round_=self.round, settings=self.settings))
        )


class Fetch(beam.PTransform):
    """Task numbers to committed parts of `images/`; gives a TaskResult each."""

    def __init__(self, run: str, round_: int, settings: FetchSettings, web: WebSettings) -> None:
        super().__init__()
        self.run, self.round, self.settings, self.web = run, round_, settings, web

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        return (
            tasks
            | "Spread tasks" >> beam.Reshuffle()
            | "Fetch" >> beam.Map(run_task, self.run, self.round, self.settings, self.web)
        )


def read_candidates(path: str) -> Iterable[Candidate]:
    return parquet.read_rows(path, Candidate)


def owned(candidate: Candidate, tasks: int) -> tuple[int, Candidate]:
    return task_of(host_of(candidate.url), tasks), candidate


def write_plan(task: int, candidates: Iterable[Candidate], run: str, round_: int, settings: FetchSettings) -> str:
    rows = plan_rows(((host_of(c.url), c) for c in candidates), settings.rows_per_part)
    path = storage.join(run, "images", "plan", f"{stem(round_, task)}.parquet")
    parquet.write_rows(path, PlanRow, rows)
    return path


def run_task(task: int, run: str, round_: int, settings: FetchSettings, web: WebSettings) -> TaskResult:
    """Two attempts at one task, of which an engine may think that one is dead, never ask at the same time."""
    name = f"fetch-{stem(round_, task)}"
    return while_held(
        run, name, web.lease_s, lambda lease: run_async(fetch_task(run, round_, task, settings, web, lease.check))
    )
