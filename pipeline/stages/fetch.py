"""Stage `fetch`: candidates to images, in rounds of asking; each round is planned, then asked by tasks."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from filters.reasons import Reason
from filters.url import normalise_url
from pipeline.columns import live_columns
from pipeline.config import EngineSettings, content
from pipeline.context import Context
from pipeline.errors import DataError
from pipeline.locks import one_at_a_time
from pipeline.manifest import Stamp, digest_of, outputs_of
from pipeline.stages.base import Stage, facts_of
from pipeline.stages.contact import check_contact
from pipeline.ui.fetch_view import FetchView
from transforms import rounds, run_dir, storage
from transforms.coordination import lease
from transforms.crawl.passes import retries_of
from transforms.fetch.again import at_most
from transforms.fetch.commit import committed_names
from transforms.fetch.plan import LEASES, tasks_for
from transforms.fetch.transform import Fetch, PlanFetch
from transforms.formats import parquet
from transforms.web.settings import WebSettings


def stamp(c: Context) -> Stamp:
    """A later pass of a crawl adds candidates; what was asked before stays true."""
    digests = [*(retry.before for retry in retries_of(c.run) if retry.before), c.digest("collect")]
    inputs = {f"candidates, pass {n}" if n else "candidates": digest for n, digest in enumerate(digests)}
    return Stamp(content(c.settings.fetch) | {"web": content(c.settings.web)}, inputs)


def check(c: Context) -> None:
    """Foreign hosts get a contact: those that a source knows of before any work; `make_plan` checks all of them."""
    if c.settings.web.contact or c.settings.demo is not None or c.manifests.read("collect") is not None:
        return
    for source in c.settings.collect.all_sources().values():
        for url in source.known_urls():
            if (normal := normalise_url(url) or "").startswith(("http://", "https://")):
                check_contact(normal, c.settings.web)


def work(c: Context) -> bool:
    """Fetch this process's slice of the newest round; True when nothing is missing any more, of any slice.

    A round begins only when those before it are whole. Who finishes one goes on with all that it handed over.
    """
    rows = c.finished("collect")["counts"]["candidates"]
    part = c.part
    while True:
        round_ = rounds.rounds_of(c.run)[-1]
        if not fetch_round(c._replace(part=part), round_, rows):
            return False
        if count_reasons(c.run, run_dir.stems_of_round(c.run, round_)).get(Reason.HANDED_OVER):
            rounds.publish_request(c.run, round_ + 1, rounds.Request("redirects"))
        elif lacks_candidates(c.run):
            rounds.publish_request(c.run, round_ + 1, rounds.Request("added"))
        else:
            break
        part = (0, 1)
    lease.clear(c.run, LEASES, c.settings.web.lease_s)  # no attempt is under way any more
    folder = run_dir.folder(c.run, run_dir.IMAGES)
    storage.sweep(folder, committed_names(folder))
    return True


def lacks_candidates(run: str) -> bool:
    """Whether a later pass of the crawl has found candidates for which no round was begun."""
    requests = [rounds.read_request(run, round_) for round_ in rounds.rounds_of(run)]
    begun = sum(request is not None and request.kind == "added" for request in requests)
    return begun < sum(bool(retry.before) for retry in retries_of(run))


def fetch_round(c: Context, round_: int, rows: int) -> bool:
    """Ask this process's tasks of a round; True where every part of it is there."""
    with one_at_a_time(c.run, "plan"):
        plan = make_plan(c, round_, rows)
    index, count = c.part
    mine = [task for task in plan["tasks"] if task % count == index]
    label = f"fetch, round {round_}" if round_ else "fetch"
    view = FetchView(c.run, round_, keeps=True)
    c.progress.stage(label, plan["rows"], "rows", view.rows_done, view)
    transform = Fetch(c.run, round_, plan["of"], c.settings.fetch, c.settings.web)
    workers = min(len(mine), c.engine.workers_with(c.settings.fetch.decoders))
    c.engine.run(lambda p: p | "Tasks" >> beam.Create(mine) | transform, "fetch", c.progress.say, workers)
    c.progress.end()
    view.keep()
    return len(run_dir.stems_of_round(c.run, round_)) == plan["parts"]


def make_plan(c: Context, round_: int, rows: int) -> dict[str, Any]:
    """The plan of a round: made once, then read. {"of": n, "tasks": [those with rows], "parts": n, "rows": n}

    `rows`: how many there are at most. Raises UsageError where a foreign host would be asked without a contact.
    """
    folder = run_dir.folder(c.run, run_dir.IMAGES, run_dir.PLAN)
    path = storage.join(folder, f"{round_:04d}.json")
    if not storage.exists(path):
        for name in storage.list_names(folder, run_dir.of_round(round_)):
            storage.delete(storage.join(folder, name))
        tasks = _run_plan(c, round_, rows)
        storage.publish(path, json.dumps({"of": tasks} | _survey(folder, round_, c.settings.web)).encode())
    return json.loads(storage.read_bytes(path))


def _run_plan(c: Context, round_: int, rows: int) -> int:
    """How many tasks the plan is cut into."""
    request = rounds.read_request(c.run, round_)
    if request is None or request.kind == "added":
        folder = run_dir.folder(c.run, run_dir.CANDIDATES)
        files = inputs = [storage.join(folder, n) for n in storage.list_names(folder, "part-*.parquet")]
    else:
        inputs = [stem for stem in run_dir.part_stems(c.run) if run_dir.round_of(stem) < round_]
        files = [run_dir.image_rows(c.run, stem) for stem in inputs]
        rows = at_most(request, count_reasons(c.run, inputs))
    c.progress.stage("plan", len(files), "files")
    tasks = tasks_for(rows, c.settings.fetch.rows_per_task)
    transform = PlanFetch(c.run, round_, tasks, c.settings.fetch, c.settings.web, request)
    workers = c.engine.workers_for(files)
    c.engine.run(lambda p: p | "Files" >> beam.Create(inputs) | transform, "plan", c.progress.say, workers)
    return tasks


def _survey(folder: str, round_: int, web: WebSettings) -> dict[str, Any]:
    tasks, parts, rows = [], 0, 0
    for name in storage.list_names(folder, run_dir.of_round(round_)):
        part_of_row = list(_parts(storage.join(folder, name), web))
        tasks.append(run_dir.task_of_plan(name))
        parts += len(set(part_of_row))
        rows += len(part_of_row)
    return {"tasks": tasks, "parts": parts, "rows": rows}


def _parts(path: str, web: WebSettings) -> Iterator[int]:
    """The part of each row of a plan; on the way, nobody who must not be asked without a contact is asked."""
    for row in parquet.read_columns(path, ["part", "candidate.url", "candidate.source.path"]):
        if not row["candidate"]["source"]["path"]:
            check_contact(row["candidate"]["url"], web)
        yield row["part"]


def facts(c: Context) -> dict[str, Any]:
    """The stage's facts; on the way the guards judge the outcome. Raises DataError."""
    stems = run_dir.part_stems(c.run)
    reasons = count_reasons(c.run, stems)
    check_guards(reasons, c.settings.engine)
    outputs = outputs_of(run_dir.folder(c.run, run_dir.IMAGES), [f"{stem}.parquet" for stem in stems])
    by_round = [{n: d for n, d in outputs.items() if run_dir.round_of(n) == r} for r in rounds.rounds_of(c.run)]
    counts = {"rows": sum(reasons.values()), "images": reasons.get("", 0)}
    return facts_of(outputs, counts) | {"rounds": [digest_of(names) for names in by_round]}


def count_reasons(run: str, stems: list[str]) -> Counter[str]:
    """How many live rows of `images/` ended for each reason; "" is success."""
    return Counter(row["reason"] for row in live_columns(run, ["reason"], stems))


def check_guards(reasons: Counter[str], engine: EngineSettings) -> None:
    """Stop a run that is broken rather than unlucky. Raises DataError."""
    rows = max(1, sum(reasons.values()))
    internal = reasons.get(str(Reason.INTERNAL_ERROR), 0)
    if internal > engine.max_internal_errors * rows:
        raise DataError(f"fetch: {internal} of {rows} rows ended in an internal error (see the log above); "
                        "raise engine.max_internal_errors to accept them")  # fmt: skip
    dropped = rows - reasons.get("", 0)
    if dropped > engine.max_drop_share * rows:
        top = ", ".join(f"{r} {n}" for r, n in reasons.most_common(4) if r)
        raise DataError(f"fetch: {dropped} of {rows} rows were dropped ({top}), more than "
                        f"engine.max_drop_share = {engine.max_drop_share}; raise it to accept them")  # fmt: skip


STAGE = Stage("fetch", (run_dir.IMAGES,), stamp, check, work, facts, frozen=True, grows=True)
