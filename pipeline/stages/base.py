"""What a stage is: its name, what its output depends on, how it works, what it leaves behind."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pipeline.context import Context
from pipeline.errors import UsageError
from pipeline.manifest import Manifests, Stamp, digest_of
from transforms import storage
from transforms.outside_code import code_digest


class Stage(NamedTuple):
    """One stage. `work` may be called again at any time and goes on where it stopped."""

    name: str
    folders: tuple[str, ...]  # of the run directory, which it writes; {name} is the selection's
    stamp: Callable[[Context], Stamp]  # what the output depends on; raises UsageError where an input is not there
    check: Callable[[Context], None]  # before any work of the run; raises UsageError naming key and remedy
    work: Callable[[Context], bool]  # False: other slices of the work are still missing
    facts: Callable[[Context], dict[str, Any]]  # for the manifest; raises DataError where a guard says no
    named: bool = False  # several results may lie side by side, one a NAME
    frozen: bool = False  # changed settings are refused, because a redo would cost requests or a GPU
    grows: bool = False  # what it wrote stays true when more comes in

    def label(self, name: str) -> str:
        """The name of its manifest."""
        return f"{self.name}.{name}" if self.named else self.name

    def clear(self, run: str, name: str) -> None:
        """Remove what the stage wrote, its manifest first."""
        Manifests(run).forget(self.label(name))
        for folder in self.folders:
            storage.delete_folder(storage.join(run, folder.format(name=name)))


def code_inputs(modules: Iterable[str]) -> dict[str, str]:
    """The inputs of a stage that runs code of the user's own: name → digest of the source.

    Raises UsageError where a file of it is no Python, or cannot be read.
    """
    inputs = {}
    for module in sorted(set(filter(None, modules))):
        try:
            inputs[f"code of {module}"] = code_digest(module)
        except (OSError, SyntaxError, ValueError, ImportError) as error:
            raise UsageError(f"the source of {module} cannot be read ({error}); mend it, then run again") from error
    return inputs


def facts_of(outputs: dict[str, str], counts: dict[str, int]) -> dict[str, Any]:
    """The facts of every stage: name → digest of what it wrote, one digest of all that, counts of rows."""
    return {"outputs": outputs, "outputs_digest": digest_of(outputs), "counts": counts}
