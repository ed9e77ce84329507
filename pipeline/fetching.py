"""The `fetch` stage of a run: each round planned once, what is not committed fetched, the outcome judged as a whole."""

import json
from collections import Counter
from typing import Any

import apache_beam as beam

from filters.reasons import Reason
from filters.url import host_of
from pipeline.columns import live_columns
from pipeline.config import EngineSettings, Settings
from pipeline.engines.engine import Engine
from pipeline.errors import DataError, UsageError
from pipeline.locks import one_at_a_time
from pipeline.manifest import digest_of, outputs_of
from pipeline.ui.fetch_view import FetchView
from pipeline.ui.progress import Progress
from transforms import rounds, run_dir, storage
from transforms.coordination import lease
from transforms.fetch.again import at_most
from transforms.fetch.commit import committed_names
from transforms.fetch.plan import LEASES, tasks_for
from transforms.fetch.transform import Fetch, PlanFetch
from transforms.formats import parquet
from transforms.web.settings import WebSettings


def fetch(run: str, rows: int, settings: Settings, engine: Engine, progress: Progress, part: tuple[int, int]) -> bool:
    """Fetch this process's slice of the newest round; True when nothing is missing any more, of any slice.

    A round begins only when those before it are whole. Who finishes one goes on with all that it handed over.
    """
    while True:
        round_ = rounds.rounds_of(run)[-1]
        if not fetch_round(run, round_, rows, settings, engine, progress, part):
            return False
        if not count_reasons(run, run_dir.stems_of_round(run, round_)).get(Reason.HANDED_OVER):
            break
        rounds.publish_request(run, round_ + 1, rounds.Request("redirects"))
        part = (0, 1)
    lease.clear(run, LEASES, settings.web.lease_s)  # no attempt is under way any more
    folder = storage.join(run, run_dir.IMAGES)
    storage.sweep(folder, committed_names(folder))
    return True


def fetch_round(
    run: str, round_: int, rows: int, settings: Settings, engine: Engine, progress: Progress, part: tuple[int, int]
) -> bool:
    with one_at_a_time(run, "plan"):
        plan = make_plan(run, round_, rows, settings, engine, progress)
    index, count = part
    mine = [task for task in plan["tasks"] if task % count == index]
    label = f"fetch, round {round_}" if round_ else "fetch"
    view = FetchView(run, round_)
    progress.stage(label, plan["parts"], "parts", lambda: len(run_dir.stems_of_round(run, round_)), view)
    transform = Fetch(run, round_, plan["of"], settings.fetch, settings.web)
    workers = min(len(mine), engine.workers_with(settings.fetch.decoders))
    engine.run(lambda p: p | "Tasks" >> beam.Create(mine) | transform, "fetch", progress.say, workers)
    return len(run_dir.stems_of_round(run, round_)) == plan["parts"]


def make_plan(
    run: str, round_: int, rows: int, settings: Settings, engine: Engine, progress: Progress
) -> dict[str, Any]:
    """The plan of a round: made once, then read. {"of": n, "tasks": [those with rows], "parts": n, "rows": n}"""
    folder = storage.join(run, run_dir.IMAGES, "plan")
    path = storage.join(folder, f"{round_:04d}.json")
    if not storage.exists(path):
        for name in storage.list_names(folder, f"{round_:04d}-*.parquet"):
            storage.delete(storage.join(folder, name))
        of = _run_plan(run, round_, rows, settings, engine, progress)
        storage.publish(path, json.dumps({"of": of} | _survey(folder, round_, settings.web)).encode())
    return json.loads(storage.read_bytes(path))


def _run_plan(run: str, round_: int, rows: int, settings: Settings, engine: Engine, progress: Progress) -> int:
    """How many tasks the plan is cut into."""
    request = rounds.read_request(run, round_)
    if request is None:
        folder = storage.join(run, run_dir.CANDIDATES)
        files = things = [storage.join(folder, n) for n in storage.list_names(folder, "part-*.parquet")]
    else:
        things = [stem for stem in run_dir.part_stems(run) if rounds.round_of(stem) < round_]
        files = [storage.join(run, run_dir.IMAGES, f"{stem}.parquet") for stem in things]
        rows = at_most(request, count_reasons(run, things))
    progress.stage("plan", len(files), "files")
    tasks = tasks_for(rows, settings.fetch.rows_per_task)
    transform = PlanFetch(run, round_, tasks, settings.fetch, settings.web, request)
    workers = engine.workers_for(files)
    engine.run(lambda p: p | "Files" >> beam.Create(things) | transform, "plan", progress.say, workers)
    return tasks


def _survey(folder: str, round_: int, web: WebSettings) -> dict[str, Any]:
    tasks, parts, rows = [], 0, 0
    for name in storage.list_names(folder, f"{round_:04d}-*.parquet"):
        plan = list(_places(storage.join(folder, name), web))
        tasks.append(int(name.removesuffix(".parquet").split("-")[1]))
        parts += len(set(plan))
        rows += len(plan)
    return {"tasks": tasks, "parts": parts, "rows": rows}


def _places(path: str, web: WebSettings):
    """The part of each row of a plan; on the way, nobody who must not be asked without a contact is asked."""
    for row in parquet.read_columns(path, ["part", "candidate.url", "candidate.source.path"]):
        if not row["candidate"]["source"]["path"]:
            check_contact(row["candidate"]["url"], web)
        yield row["part"]


def check_contact(url: str, web: WebSettings) -> None:
    """Raises UsageError where a foreign host would be asked by nobody in particular."""
    if not web.contact and not web.is_local(url):
        raise UsageError(
            f"web.contact is empty, and {host_of(url)} is not on this machine: site owners must be able to reach you; "
            "set web.contact to an e-mail address or a page, for example --set web.contact=you@example.org"
        )


def fetch_facts(c: Any) -> dict[str, Any]:
    """The stage's facts; on the way the guards judge the outcome. Raises DataError."""
    stems = run_dir.part_stems(c.run)
    reasons = count_reasons(c.run, stems)
    check_guards(reasons, c.settings.engine)
    outputs = outputs_of(storage.join(c.run, run_dir.IMAGES), [f"{stem}.parquet" for stem in stems])
    by_round = [{n: d for n, d in outputs.items() if rounds.round_of(n) == r} for r in rounds.rounds_of(c.run)]
    counts = {"rows": sum(reasons.values()), "images": reasons.get("", 0)}
    return {"outputs": outputs, "outputs_digest": digest_of(outputs), "counts": counts,
            "rounds": [digest_of(names) for names in by_round]}  # fmt: skip


def count_reasons(run: str, stems: list[str]) -> Counter[str]:
    """How many rows of `images/` that stand ended for each reason; "" is success."""
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
