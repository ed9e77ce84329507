"""How far a stage is, read from the manifests alone: to do, begun, done, or outdated."""

from typing import Any, Literal

from pipeline.manifest import Manifests

State = Literal["to do", "begun", "done", "outdated"]
# What each stage reads of the stages before it; {name} is the selection's.
_READS = {"fetch": ("collect",), "score": ("fetch",), "select": ("fetch", "score"), "pack": ("select.{name}",)}


def stage_state(manifests: Manifests, label: str) -> State:
    """The state of the stage with the manifest `label`, such as `fetch` or `select.main`.

    Outdated: it is finished, but what it read is being made again, or has been since.
    """
    manifest = manifests.read(label)
    if manifest is None:
        return "begun" if manifests.started(label) is not None else "to do"
    stage, _, name = label.partition(".")
    for before in (template.format(name=name) for template in _READS.get(stage, ())):
        if stage_state(manifests, before) != "done" or not _has_read(manifest, manifests.read(before) or {}):
            return "outdated"
    return "done"


def _has_read(manifest: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether a stage's inputs are the outputs of the one before it; those of `fetch` round by round for `score`."""
    known = manifest["inputs"].values()
    return before["outputs_digest"] in known or set(before.get("rounds", ["none"])) <= set(known)
