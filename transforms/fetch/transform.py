"""Candidates to images, wired: plan the tasks, then fetch them. The logic is in the functions it names."""

from collections.abc import Iterable, Iterator
from functools import partial

import apache_beam as beam

import transforms.coders  # noqa: F401 - registers the record coders
from filters.url import host_of
from transforms import run_dir
from transforms.coordination.lease import while_held
from transforms.fetch.again import rows_again
from transforms.fetch.pages import judge_pages, other_owner
from transforms.fetch.plan import LEASES, plan_rows, start_of, unplanned
from transforms.fetch.settings import FetchSettings
from transforms.fetch.task import TaskResult, fetch_task
from transforms.formats import parquet
from transforms.partition import task_of
from transforms.records import Candidate, PlanRow
from transforms.rounds import Request
from transforms.web.loop import run_async
from transforms.web.settings import WebSettings


class PlanFetch(beam.PTransform):
    """Candidate files, or stems of older parts, to `images/plan/`: one file a task, its rows in the order of asking.

    A host is asked by its owner alone: where the page's host belongs to another task than the image's, that task asks
    it here, and the answer travels with the row.
    """

    def __init__(
        self, run: str, round_: int, tasks: int, settings: FetchSettings, web: WebSettings, request: Request | None
    ) -> None:
        super().__init__()
        self.run, self.round, self.tasks, self.settings, self.web = run, round_, tasks, settings, web
        if request is None:
            self.read = read_candidates
        elif request.kind == "added":
            self.read = partial(read_added, run=run, round_=round_)
        else:
            self.read = partial(rows_again, run=run, round_=round_, request=request)

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        rows = (
            files
            | "Spread files" >> beam.Reshuffle()
            | "Read rows" >> beam.FlatMap(self.read).with_output_types(PlanRow)
        )
        judged = (
            rows
            | "Owner of the page" >> beam.FlatMap(by_page, self.tasks, self.web).with_output_types(tuple[int, PlanRow])
            | "One list a page's owner" >> beam.GroupByKey()
            | "Ask the pages' hosts"
            >> beam.FlatMapTuple(partial(judge_pages, run=self.run, round_=self.round, web=self.web, tasks=self.tasks))
            .with_output_types(PlanRow)
        )  # fmt: skip
        unasked = rows | "Not asked yet" >> beam.Filter(is_plain, self.tasks, self.web).with_output_types(PlanRow)
        return (
            (judged, unasked)
            | "All rows" >> beam.Flatten()
            | "Owner of the host" >> beam.Map(owned, self.tasks).with_output_types(tuple[int, PlanRow])
            | "One list a task" >> beam.GroupByKey()
            | "Write plan"
            >> beam.MapTuple(partial(write_plan, run=self.run, round_=self.round, settings=self.settings))
        )


class Fetch(beam.PTransform):
    """Numbers of `tasks` tasks to committed parts of `images/`; gives a TaskResult each."""

    def __init__(self, run: str, round_: int, tasks: int, settings: FetchSettings, web: WebSettings) -> None:
        super().__init__()
        self.run, self.round, self.tasks, self.settings, self.web = run, round_, tasks, settings, web

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        return (
            tasks
            | "Spread tasks" >> beam.Reshuffle()
            | "Fetch" >> beam.Map(run_task, self.run, self.round, self.settings, self.web, self.tasks)
        )


def read_candidates(path: str) -> Iterable[PlanRow]:
    return map(unplanned, parquet.read_rows(path, Candidate))


def read_added(path: str, run: str, round_: int) -> Iterator[PlanRow]:
    """The candidates of a file that no earlier round has asked. All its uids are in memory: some 100 bytes each."""
    uids = {row["uid"] for row in parquet.read_columns(path, ["uid"])}
    asked = {
        row["uid"]
        for stem in run_dir.part_stems(run)
        if run_dir.round_of(stem) < round_
        for row in parquet.read_columns(run_dir.image_rows(run, stem), ["uid"])
        if row["uid"] in uids
    }
    return (unplanned(row) for row in parquet.read_rows(path, Candidate) if row.uid not in asked)


def by_page(row: PlanRow, tasks: int, web: WebSettings) -> Iterator[tuple[int, PlanRow]]:
    """Where another task than the image's asks the page's host: that task."""
    owner = None if row.page_reason is not None else other_owner(row.candidate, tasks, web)
    if owner is not None:
        yield owner, row


def is_plain(row: PlanRow, tasks: int, web: WebSettings) -> bool:
    """The others: the image's own task asks what is to be asked."""
    return row.page_reason is not None or other_owner(row.candidate, tasks, web) is None


def owned(row: PlanRow, tasks: int) -> tuple[int, PlanRow]:
    return task_of(host_of(start_of(row)), tasks), row


def write_plan(task: int, rows: Iterable[PlanRow], run: str, round_: int, settings: FetchSettings) -> str:
    path = run_dir.fetch_plan(run, round_, task)
    parquet.write_rows(path, PlanRow, plan_rows(rows, settings.rows_per_part))
    return path


def run_task(task: int, run: str, round_: int, settings: FetchSettings, web: WebSettings, tasks: int = 1) -> TaskResult:
    """Two attempts at one task, of which an engine may think that one is dead, never ask at the same time."""
    name = f"{LEASES}{run_dir.stem_of(round_, task)}"
    return while_held(
        run, name, web.lease_s, lambda lease: run_async(fetch_task(run, round_, task, settings, web, lease, tasks))
    )
