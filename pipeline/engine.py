"""Runs a Beam pipeline where the configuration says. The only place that knows runners."""

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.config import EngineSettings
from pipeline.errors import RunError, UsageError
from pipeline.logs import tell_errors_only
from transforms.boundary import Boundary

LOCAL_RUNNERS = ("FnApiRunner", "DirectRunner", "BundleBasedDirectRunner")
REFUSED = {
    "multi_threading": "it loses elements of a GroupByKey; use --set engine.workers=N for worker processes",
    "DaskRunner": "it gives wrong results without an error; use FnApiRunner, SparkRunner or DataflowRunner",
}


class Engine:
    """Builds and runs pipelines by the settings; `run(build)` returns when the work is done."""

    def __init__(self, settings: EngineSettings, more_options: Sequence[str] = ()) -> None:
        self.settings = settings
        self._options = [*settings.options, *more_options]
        check_options(settings.runner, self._options)

    @property
    def is_local(self) -> bool:
        return self.settings.runner in LOCAL_RUNNERS

    def run(self, build: Callable[[beam.Pipeline], Any]) -> None:
        """Raises RunError where the pipeline fails."""
        tell_errors_only()
        pipeline = beam.Pipeline(runner=self._runner(), options=PipelineOptions(self._arguments()))
        build(pipeline)
        failure = None
        with Boundary("the pipeline") as caught:
            failure = attempt(pipeline)
        if caught.drop is not None or failure is not None:
            detail = failure if failure is not None else caught.drop.detail  # type: ignore[union-attr]
            raise RunError(f"the pipeline failed: {detail}")

    def _runner(self) -> FnApiRunner | str:
        # DirectRunner would try to download another runner first: the same local runner, without the download.
        return local_runner(self.settings.workers) if self.is_local else self.settings.runner

    def _arguments(self) -> list[str]:
        if not self.is_local:
            return self._options
        return [f"--direct_num_workers={self.settings.workers}", *self._options]


def local_runner(workers: int) -> FnApiRunner:
    """Beam's local runner: in this process, or with worker processes of our own command."""
    if workers == 1:
        return FnApiRunner()
    command = f"exec {shlex.quote(sys.executable)} -m pipeline.worker"
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))


def attempt(pipeline: beam.Pipeline) -> str | None:
    """Run to the end; what a worker's failure says, or None. A RuntimeError is how runners hand one on."""
    try:
        pipeline.run().wait_until_finish()
    except RuntimeError as error:
        return last_line(error)
    return None


def check_options(runner: str, options: Sequence[str]) -> None:
    """Refuse what loses data, before any work. Raises UsageError."""
    for word, why in REFUSED.items():
        if word == runner or any(word in option for option in options):
            raise UsageError(f"engine: {word} is refused: {why}")


def last_line(error: BaseException) -> str:
    """The line of a worker's traceback that says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line.split(":")[0] and not line.startswith(" ")]
    return (named or lines or [repr(error)])[-1].split(" [while running")[0]
