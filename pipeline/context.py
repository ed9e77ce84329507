"""What a stage is given."""

from typing import Any, NamedTuple

from pipeline.config import Settings
from pipeline.engines.engine import Engine
from pipeline.errors import UsageError
from pipeline.locks import Check
from pipeline.manifest import Manifests
from pipeline.ui.progress import Progress


class Context(NamedTuple):
    """One command's work on one run directory."""

    run: str
    name: str  # of the selection
    settings: Settings
    engine: Engine
    progress: Progress
    part: tuple[int, int] = (0, 1)  # (I, N): this process fetches the hosts of slice I of N
    slice_scores: bool = False  # and scores slice I of the parts, for many machines with a GPU each
    check_lock: Check = lambda: None  # raises where another driver may have taken the run over

    @property
    def manifests(self) -> Manifests:
        return Manifests(self.run)

    def finished(self, label: str) -> dict[str, Any]:
        """The manifest of a finished stage. Raises UsageError where it is not finished."""
        manifest = self.manifests.read(label)
        if manifest is None:
            raise UsageError(f"{self.run}: stage {label} is not finished; run it first")
        return manifest

    def digest(self, label: str) -> str:
        """The digest of a finished stage's output. Raises UsageError where it is not finished."""
        return self.finished(label)["outputs_digest"]
