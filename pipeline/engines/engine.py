"""Runs a Beam pipeline where the configuration says. The only place that knows runners."""

import re
import shlex
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.config import EngineSettings
from pipeline.engines import spark
from pipeline.engines.dataflow import check_dataflow, dataflow_options
from pipeline.engines.memory import give_back
from pipeline.engines.workers.handshake import Probe
from pipeline.engines.workers.logs import Follower
from pipeline.errors import PairmillError, RunError, UsageError
from pipeline.logs import log_errors_only
from transforms import storage
from transforms.coordination.error_boundary import ErrorBoundary
from transforms.run_dir import LOGS

LOCAL_RUNNERS = ("FnApiRunner", "DirectRunner", "BundleBasedDirectRunner")
REFUSED = {
    "multi_threading": "it loses elements of a GroupByKey; use --set engine.workers=N for worker processes",
    "DaskRunner": "it gives wrong results without an error; use FnApiRunner, SparkRunner or DataflowRunner",
}
ENDPOINT_GONE = "the job endpoint went away"
ATTEMPTS = 3  # at a job that Spark gives up though it could go on
EMBEDDED = "embed"  # a job endpoint inside this process


class HandshakeOptions(PipelineOptions):
    """What a worker on another machine gets with the job."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        for name in Probe._fields:
            parser.add_argument(f"--pairmill_{name}", default=None)


class Engine:
    """Builds and runs pipelines by the settings: `with Engine(settings, options, run) as engine: engine.run(build)`."""

    def __init__(self, settings: EngineSettings, more_options: Sequence[str] = (), run: str = "") -> None:
        self.settings = settings
        self._options = [*settings.options, *more_options]
        self._run = run
        self._probe: Probe | None = None
        self._server = spark.JobServer(settings.spark, self._log("job-server.log"))
        self._quiet = quiet_readers()
        # What loses data is refused before any work.
        for word, why in REFUSED.items():
            if word == settings.runner or any(word in option for option in self._options):
                raise UsageError(f"engine: {word} is refused: {why}")

    @property
    def is_local(self) -> bool:
        return self.settings.runner in LOCAL_RUNNERS

    @property
    def is_spark(self) -> bool:
        return self.settings.runner == "SparkRunner"

    @property
    def is_dataflow(self) -> bool:
        return self.settings.runner == "DataflowRunner"

    def check(self) -> None:
        """What can be known before any work. Raises UsageError."""
        if self.is_spark:
            spark.check_spark(self.settings.spark)
        if self.is_dataflow:
            check_dataflow(self.settings.dataflow, self._run)
        # A client waits for ever on a job endpoint where nobody is.
        for option in self._options:
            name, _, endpoint = option.partition("=")
            if name == "--job_endpoint" and endpoint != EMBEDDED and not spark.answers(endpoint):
                raise UsageError(f"--job_endpoint={endpoint}: nobody answers there; start the job server first")

    def __enter__(self) -> "Engine":
        self._quiet.__enter__()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop()
        self._quiet.__exit__(kind, error, trace)

    def workers_for(self, paths: Iterable[str]) -> int:
        """How many local workers are worth their start, of some 3 s of CPU each, to read these files."""
        if not self.is_local or self.settings.workers == 1:
            return self.settings.workers
        size_bytes = sum(map(storage.size_bytes, paths))
        return min(self.settings.workers, max(1, -(-size_bytes // self.settings.bytes_per_worker)))

    def workers_with(self, helpers: int) -> int:
        """How many local workers keep all cores busy where `helpers` processes of each do most of the work."""
        return -(-self.settings.workers // helpers)

    def run(
        self,
        build: Callable[[beam.Pipeline], Any],
        stage: str = "pipeline",
        say: Callable[[str], None] = print,
        workers: int | None = None,
    ) -> None:
        """Returns when the work is done. `say` is given what workers on other machines log.

        `workers` is how many would find work: no more are started here. Raises RunError where the pipeline fails,
        UsageError where it cannot be made.
        """
        log_errors_only()
        failure = None
        workers = min(self.settings.workers, workers or self.settings.workers)
        options = self.pipeline_options(stage, workers)
        make = partial(self._pipeline, build, workers)
        boundary = ErrorBoundary(f"the pipeline of {stage}", (PairmillError,))
        with boundary as caught, self._following(say):
            for _ in range(ATTEMPTS):
                failure = self._submit(make, stage, options) if self._submits else self._attempt(make, options)
                if failure is None or not (self.is_spark and spark.gives_up_early(failure)):
                    break
        if caught.drop is not None:
            failure = caught.drop.detail
        give_back()
        if failure is not None:
            raise RunError(f"{stage}: {spark.explained(failure) if self.is_spark else failure}")

    def hinted(self, stage: str, transform: beam.PTransform) -> beam.PTransform:
        """With the resource hints of a stage, on the one runner that acts on them: others would copy rows for them."""
        hints = self.settings.hints.get(stage)
        return transform.with_resource_hints(**hints) if hints and self.is_dataflow else transform

    def _following(self, say: Callable[[str], None]) -> Any:
        return nullcontext() if self.is_local or not self._run else Follower(self._run, say)

    @property
    def _submits(self) -> bool:
        return self.is_spark and bool(self.settings.spark.submit)

    def _attempt(self, make: Callable[[list[str]], beam.Pipeline], options: list[str]) -> str | None:
        failure = attempt(make(options))
        if failure is not None and failure.startswith(ENDPOINT_GONE) and self.is_spark and self._server.has_ended():
            return f"the job server ended while the job ran; its log: {self._log('job-server.log')}"
        return failure

    def _pipeline(self, build: Callable[[beam.Pipeline], Any], workers: int, options: list[str]) -> beam.Pipeline:
        pipeline = beam.Pipeline(runner=self._runner(workers), options=PipelineOptions(options))
        build(pipeline)
        return pipeline

    def _submit(self, make: Callable[[list[str]], beam.Pipeline], stage: str, options: list[str]) -> str | None:
        """The job as one jar, and spark-submit to run it: the way to YARN and Kubernetes."""
        with tempfile.TemporaryDirectory(prefix="pairmill-job-") as folder:
            jar = str(Path(folder, f"pairmill-{stage}.jar"))
            failure = attempt(make([*options, f"--output_executable_path={jar}"]))
            if failure is not None:
                return failure
            try:
                spark.submit(jar, self.settings.spark, self._log("spark-submit.log"))
            except RuntimeError as error:
                return last_line(error)
        return None

    def _log(self, name: str) -> str:
        """Where a Java program of ours writes what it has to say."""
        here = self._run and not storage.is_remote(self._run)
        folder = Path(self._run, LOGS) if here else Path(tempfile.gettempdir(), "pairmill-logs")
        return str(folder / name)

    def _runner(self, workers: int) -> FnApiRunner | str:
        # DirectRunner would try to download another runner first: the same local runner, without the download.
        if self.is_local:
            return local_runner(workers)
        return "PortableRunner" if self.is_spark else self.settings.runner

    def pipeline_options(self, stage: str, workers: int) -> list[str]:
        """The Beam options with which the pipeline of a stage runs; `workers` are local ones."""
        if self.is_local:
            return [f"--direct_num_workers={workers}", *self._options]
        options = [*self._options, *self._contract()]
        if self.is_spark:
            return [*spark.job_options(self.settings.spark), f"--job_endpoint={self._server.start()}", *options]
        if self.is_dataflow:
            return [*dataflow_options(self.settings.dataflow, stage, self._run), *options]
        return options

    def _contract(self) -> list[str]:
        if self._run and self._probe is None:
            self._probe = Probe.publish(self._run)
        return self._probe.arguments() if self._probe else []


def local_runner(workers: int) -> FnApiRunner:
    """Beam's local runner: in this process, or with worker processes of our own command."""
    if workers == 1:
        return FnApiRunner()
    command = f"exec {shlex.quote(sys.executable)} -m pipeline.engines.workers.main"
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))


def attempt(pipeline: beam.Pipeline) -> str | None:
    """Run to the end; what a worker's failure says, or None. A RuntimeError is how runners hand one on."""
    try:
        pipeline.run().wait_until_finish()
    except RuntimeError as error:
        if isinstance(error.__cause__, PairmillError):  # found while the pipeline was written down
            raise
        return last_line(error)
    except grpc.RpcError as error:
        return f"{ENDPOINT_GONE} ({error.code().name})" if isinstance(error, grpc.Call) else ENDPOINT_GONE
    return None


@contextmanager
def quiet_readers() -> Iterator[None]:
    """Beam's threads that read a job's messages end with its endpoint, or a moment later: its failure says so."""
    before = threading.excepthook
    threading.excepthook = lambda args: None if isinstance(args.exc_value, grpc.RpcError) else before(args)
    try:
        yield
    finally:
        threading.excepthook = before


def last_line(error: BaseException) -> str:
    """The line of a worker's traceback that says what happened."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line.split(":")[0] and not line[0].isspace()]
    return re.split(r" \[while running", (named or lines or [repr(error)])[-1])[0]
