"""Drives the stages of one run directory: skips what is done, goes on with what is half done, refuses what changed."""

import time
from datetime import UTC, datetime

from pipeline.config import Settings, as_yaml, resolved
from pipeline.context import Context
from pipeline.demo_web import serving_demo, with_seeds
from pipeline.engines.engine import Engine, last_line
from pipeline.errors import RunError, UsageError
from pipeline.locks import one_at_a_time, only_one
from pipeline.manifest import machine_log
from pipeline.preflight import check_before_work
from pipeline.redo import check_refusals, is_current
from pipeline.stages import STAGE_NAMES, STAGES
from pipeline.stages.base import Stage
from pipeline.ui.progress import Progress
from transforms import run_dir, storage
from transforms.coordination.fatal import FatalError


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
    stages = stages_between(first or STAGE_NAMES[0], last)
    with progress or Progress() as shown, Engine(settings.engine, options, run) as engine:
        context = with_seeds(Context(run, name, resolved(settings), engine, shown, part, slice_scores=first == "score"))
        # Everything that can be refused is refused here, before anything is written.
        check_before_work(context, stages)
        check_refusals(context, stages, first)
        with only_one(run, part) as check_lock, serving_demo(context, stages, redo=first) as served:
            if part[1] == 1:
                storage.sweep_temporary(run)
            shown.keep_log(run)
            if not keep_settings:
                storage.publish(run_dir.settings_file(run), as_yaml(settings).encode())
            complete = all(do_stage(served._replace(check_lock=check_lock), stage, first) for stage in stages)
    if complete and run_dir.is_selected(run, name):
        from pipeline.report.report import write_report

        write_report(run, name, settings.report.thumbnails)
    return complete


def stages_between(first: str, last: str) -> list[Stage]:
    begin, end = STAGE_NAMES.index(first), STAGE_NAMES.index(last)
    if begin > end:
        raise UsageError(f"--from {first} --to {last}: the stages run in the order {', '.join(STAGE_NAMES)}")
    return list(STAGES[begin : end + 1])


def do_stage(c: Context, stage: Stage, redo: str | None) -> bool:
    """Finish one stage; False when slices of other processes are still missing.

    Slices fetch (and score) side by side; the rest is done by one process at a time, and the others find it done.
    """
    if c.part[1] == 1 or stage.name == "fetch" or (stage.name == "score" and c.slice_scores):
        return _do_stage(c, stage, redo)
    with one_at_a_time(c.run, "rest"):
        return _do_stage(c, stage, redo)


def _do_stage(c: Context, stage: Stage, redo: str | None) -> bool:
    label = stage.label(c.name)
    stamp = stage.stamp(c)
    if is_current(c, stage, stamp, redo):
        c.progress.say(f"{label}: already done")
        return True
    c.manifests.start(label, stamp)
    began, began_s = datetime.now(UTC), time.monotonic()
    try:
        done = stage.work(c)
        c.check_lock()
    except FatalError as error:
        raise RunError(f"{stage.name}: {last_line(error)}") from error
    if not done:
        c.progress.say(f"{label}: this slice is done; others are missing")
        return False
    c.progress.end()
    facts = stage.facts(c)
    # The manifest is written last: it is what makes the stage done.
    c.manifests.finish(label, stamp, facts, machine_log(began, time.monotonic() - began_s))
    return True
