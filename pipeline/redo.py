"""Whether what a stage wrote still holds, may be done again, or is refused: a redo may cost requests or a GPU."""

from typing import Any

from pipeline.context import Context
from pipeline.errors import UsageError
from pipeline.manifest import Stamp, differing_keys
from pipeline.stages import STAGE_NAMES, STAGES
from pipeline.stages.base import Stage
from transforms.coordination import lease
from transforms.crawl.transform import LEASES as CRAWL_LEASES
from transforms.fetch.plan import LEASES as FETCH_LEASES


def check_refusals(c: Context, stages: list[Stage], redo: str | None) -> None:
    """Find a refusal before anything is written. Raises UsageError naming the keys that differ."""
    manifests = c.manifests
    for stage in stages:
        index = STAGE_NAMES.index(stage.name)
        if index and manifests.read(STAGES[index - 1].label(c.name)) is None:
            return
        stamp = stage.stamp(c)
        known = manifests.read(stage.label(c.name)) or manifests.started(stage.label(c.name))
        if known is None:
            return
        if known["fingerprint"] != stamp.fingerprint and not has_grown(stage, known, stamp):
            if stage.frozen and not may_redo(stage, redo):
                raise UsageError(refusal(c.run, stage, known, stamp))
            return  # it will be done again, and with it all that come after it


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
        # On a cluster whose driver died, an attempt at a task of the earlier plan may still be at work.
        for prefix in (CRAWL_LEASES, FETCH_LEASES):
            lease.clear(c.run, prefix, c.settings.web.lease_s, c.progress.say)
    stage.clear(c.run, c.name)
    return False


def has_grown(stage: Stage, known: dict[str, Any], stamp: Stamp) -> bool:
    """Whether nothing but more input has come to a stage that only needs to go on with it."""
    before = Stamp(known["settings"], known["inputs"])
    same = before.fingerprint == known["fingerprint"] and before.settings == stamp.settings
    return stage.grows and same and before.inputs.items() < stamp.inputs.items()


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
