"""Drives the stages of one run directory: skips what is done, goes on with what is half done, refuses what changed."""

import contextlib
import platform
import resource
import time
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from pipeline import __version__
from pipeline.config import Settings, as_yaml, resolved
from pipeline.context import Context
from pipeline.demo_web import serving_demo, with_seeds
from pipeline.engines.engine import Engine, last_line
from pipeline.errors import RunError, UsageError
from pipeline.locks import one_at_a_time, only_one
from pipeline.manifest import Stamp, differing_keys
from pipeline.preflight import check_before_work
from pipeline.stages import STAGE_NAMES, STAGES
from pipeline.stages.base import Stage
from pipeline.ui.progress import Progress
from transforms import run_dir, storage
from transforms.coordination import lease
from transforms.coordination.fatal import FatalError
from transforms.crawl.transform import LEASES as CRAWL_LEASES
from transforms.fetch.plan import LEASES as FETCH_LEASES

LEASES = (CRAWL_LEASES, FETCH_LEASES)  # of tasks that ask
VERSIONED = ("apache-beam", "pyarrow", "pillow", "numpy", "torch", "open_clip_torch", "selectolax", "pdqhash")


def run_stages(
    settings: Settings,
    run: str,
    *,
    name: str = "main",
    first: str | None = None,
    last: str = "pack",
    part: tuple[int, int] = (0, 1),
    options: tuple[str, ...] = (),
    progress: Progress | None = None,
    keep_settings: bool = False,
) -> bool:
    """Bring a run directory to the end of stage `last`; True when it is there, False when other slices are missing.

    `first` permits its stage and those behind it to be done again with other settings; with `keep_settings`,
    run.yaml stays as it is.
    Raises UsageError before any work, DataError from a guard, RunError where the work failed.
    """
    run = storage.absolute(run)
    chosen = stages_between(first or STAGE_NAMES[0], last)
    with progress or Progress() as shown, Engine(settings.engine, options, run) as engine:
        plain = Context(run, name, resolved(settings), engine, shown, part, slice_scores=first == "score")
        context = with_seeds(plain)
        check_before_work(context, chosen)
        check_refusals(context, chosen, first)
        with only_one(run, part) as check_lock, serving_demo(context, chosen, redo=first) as served:
            if part[1] == 1:
                storage.sweep_temporary(run)
            shown.keep_log(run)
            if not keep_settings:
                storage.publish(run_dir.settings_file(run), as_yaml(settings).encode())
            locked = served._replace(check_lock=check_lock)
            complete = all(do_in_turn(locked, stage, redo=first) for stage in chosen)
    if complete and run_dir.is_selected(run, name):
        from pipeline.report.report import write_report

        write_report(run, name, settings.report.thumbnails)
    return complete


def stages_between(first: str, last: str) -> list[Stage]:
    begin, end = STAGE_NAMES.index(first), STAGE_NAMES.index(last)
    if begin > end:
        raise UsageError(f"--from {first} --to {last}: the stages run in the order {', '.join(STAGE_NAMES)}")
    return list(STAGES[begin : end + 1])


def check_refusals(c: Context, stages: list[Stage], redo: str | None) -> None:
    """Find a refusal before anything is written. Raises UsageError naming the keys that differ."""
    manifests = c.manifests
    for stage in stages:
        if STAGE_NAMES.index(stage.name) and manifests.read(stage_before(stage).label(c.name)) is None:
            return
        stamp = stage.stamp(c)
        known = manifests.read(stage.label(c.name)) or manifests.started(stage.label(c.name))
        if known is None:
            return
        if known["fingerprint"] != stamp.fingerprint and not has_grown(stage, known, stamp):
            if stage.frozen and not may_redo(stage, redo):
                raise UsageError(refusal(c.run, stage, known, stamp))
            return  # it will be done again, and with it all that stand behind it


def stage_before(stage: Stage) -> Stage:
    return STAGES[STAGE_NAMES.index(stage.name) - 1]


def do_in_turn(c: Context, stage: Stage, redo: str | None) -> bool:
    """Slices of other processes may fetch (and score) at the same time; the rest is done by one of them."""
    if c.part[1] == 1 or stage.name == "fetch" or (stage.name == "score" and c.slice_scores):
        return do_stage(c, stage, redo)
    with one_at_a_time(c.run, "rest"):
        return do_stage(c, stage, redo)


def do_stage(c: Context, stage: Stage, redo: str | None) -> bool:
    """Finish one stage; False when slices of other processes are still missing."""
    label = stage.label(c.name)
    stamp = stage.stamp(c)
    if is_current(c, stage, stamp, redo):
        c.progress.say(f"{label}: already done")
        return True
    manifests = c.manifests
    manifests.start(label, stamp)
    began = datetime.now(UTC)
    clock = time.monotonic()
    if not work(c, stage):
        c.progress.say(f"{label}: this slice is done; others are missing")
        return False
    c.progress.end()
    facts = stage.facts(c)
    log = {"started": began.isoformat(timespec="seconds"), "duration_s": round(time.monotonic() - clock, 3)}
    manifests.finish(label, stamp, facts, log | spent() | {"versions": versions()})
    return True


def work(c: Context, stage: Stage) -> bool:
    try:
        done = stage.work(c)
        c.check_lock()
        return done
    except FatalError as error:
        raise RunError(f"{stage.name}: {last_line(error)}") from error


def is_current(c: Context, stage: Stage, stamp: Stamp, redo: str | None) -> bool:
    """Whether a stage is done with these settings and inputs. What is outdated and may be redone is cleared."""
    manifests = c.manifests
    label = stage.label(c.name)
    known = manifests.read(label) or manifests.started(label)
    if known is None:
        return False
    if known["fingerprint"] == stamp.fingerprint:
        return manifests.read(label) is not None
    if has_grown(stage, known, stamp):
        return False
    if stage.frozen and not may_redo(stage, redo):
        raise UsageError(refusal(c.run, stage, known, stamp))
    if stage.frozen:
        end_attempts(c)
    stage.clear(c.run, c.name)
    return False


def has_grown(stage: Stage, known: dict[str, Any], stamp: Stamp) -> bool:
    """Whether nothing but more input has come to a stage that only needs to go on with it."""
    before = Stamp(known["settings"], known["inputs"])
    same = before.fingerprint == known["fingerprint"] and before.settings == stamp.settings
    return stage.grows and same and before.inputs.items() < stamp.inputs.items()


def end_attempts(c: Context) -> None:
    """No attempt at a task of an earlier plan may be at work, on a cluster whose driver died, when that is cleared."""
    for prefix in LEASES:
        lease.clear(c.run, prefix, c.settings.web.lease_s, c.progress.say)


def may_redo(stage: Stage, redo: str | None) -> bool:
    return redo is not None and STAGE_NAMES.index(stage.name) >= STAGE_NAMES.index(redo)


def refusal(run: str, stage: Stage, known: dict[str, Any], stamp: Stamp) -> str:
    changed = differing_keys({stage.name: known["settings"], "inputs": known["inputs"]},
                             {stage.name: stamp.settings, "inputs": stamp.inputs})  # fmt: skip
    lines = "\n".join(f"  {line}" for line in changed) or "  the version of the files"
    return (
        f"{run}: stage {stage.name} was run with other settings:\n{lines}\n"
        f"use these again, choose another --run-dir, or throw its results away with --from {stage.name}"
    )


def spent() -> dict[str, Any]:
    """What this process and its children have used so far: seconds of CPU, and the largest one's memory in bytes."""
    me, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = me.ru_utime + me.ru_stime + children.ru_utime + children.ru_stime
    return {"cpu_s": round(cpu, 3), "peak_bytes": max(me.ru_maxrss, children.ru_maxrss) * 1024}


def versions() -> dict[str, str]:
    found = {"pairmill": __version__, "python": platform.python_version()}
    for package in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
