"""Spark: what a job needs to get there, and the job server that takes it there. See docs/engines.md.

Beam's Python pipelines reach Spark through a job server, a Java program between them: one for a whole run.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import field_validator

from filters.rules import Rules, operational
from pipeline.engines.workers.handshake import OTHER_VERSION, RUN_NOT_SEEN, own_version
from pipeline.errors import RunError, UsageError

START_S = 120.0  # a job server on a busy machine
ANSWER_S = 5.0  # a server that listens answers within that
POLL_S = 0.2
DRIVER_CLASS = "org.apache.beam.runners.spark.SparkJobServerDriver"
PIPELINE_CLASS = "org.apache.beam.runners.spark.SparkPipelineRunner"
SPECULATION = "spark.speculation"
# One application for a whole run. Beam tests itself that way; else executors start anew for each job, some 12 s of it.
ONE_APPLICATION = "beam.spark.test.reuseSparkContext"
GUARDED = (sys.executable, "-m", "pipeline.engines.workers.parent_guard")


class SparkSettings(Rules):
    """A Spark 3 cluster. Nothing here changes a row."""

    master: str = operational("")  # spark://HOST:PORT, yarn, k8s://..., local[2]
    job_server_jar: str = operational("")  # a file; Beam fetches its own where it is empty
    home: str = operational("")  # Spark's folder, where the jar does not hold Spark
    worker: str = operational("")  # program that starts a worker, at that path on every machine; "" is ours
    image: str = operational("")  # container image of the workers, in place of the program
    workers_per_executor: int = operational(1, ge=1)  # Python processes of an executor
    partitions: int = operational(0, ge=0)  # of a shuffle; 0 is the number of cores
    properties: dict[str, str] = operational({})  # spark.executor.memory and the like
    driver_memory: str = operational("1g", pattern=r"^[0-9]+[kmg]$")  # as Spark writes it: 512m, 2g
    submit: str = operational("")  # command of spark-submit with its options; "" submits through the job server

    @field_validator("properties", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """`--set engine.spark.properties.spark.executor.memory=2g` makes dicts in dicts of it."""
        return dict(flat(value)) if isinstance(value, dict) else value


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and their values as Spark writes them: `true`, not `True`."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value).lower() if isinstance(value, bool) else str(value)


def check_spark(settings: SparkSettings) -> None:
    """What can be known before any work. Raises UsageError naming the key and the remedy."""
    if not settings.master:
        raise UsageError("engine.spark.master is empty: --set engine.spark.master=spark://HOST:7077")
    if settings.properties.get(SPECULATION, "false") != "false":
        raise UsageError(f"engine.spark.properties: {SPECULATION} is refused: two attempts at one host at the same "
                         "time would ask it twice as fast; remove it")  # fmt: skip
    check_master(settings.master)
    for key, path in (("job_server_jar", settings.job_server_jar), ("home", settings.home)):
        if path and "://" not in path and not os.path.exists(path):
            raise UsageError(f"engine.spark.{key} = {path}: there is nothing; give its absolute path")
    unpacked = any(name.endswith("archives") for name in settings.properties)  # into the executor's own folder
    if settings.worker and not os.path.isabs(settings.worker) and not unpacked:
        raise UsageError(f"engine.spark.worker = {settings.worker}: executors work in other folders; "
                         "give an absolute path, the same on every machine")  # fmt: skip
    for program in (java(), *shlex.split(settings.submit)[:1]):
        if shutil.which(program) is None:
            raise UsageError(f"{program} is not there: Spark needs Java 11 or 17 (found by JAVA_HOME or PATH), and its "
                             "own spark-submit where engine.spark.submit names it")  # fmt: skip


def check_master(master: str) -> None:
    """A master listens behind a `spark://` url; it may list several, standbys too, separated by commas."""
    if not re.match(r"(spark|k8s)://.+|yarn$|local(\[.+\])?$", master):
        raise UsageError(f"engine.spark.master = {master}: expected spark://HOST:PORT, yarn, k8s://... or local[N]")
    if not master.startswith("spark://"):
        return
    addresses = master.removeprefix("spark://").split(",")
    if not any(answers(address) for address in addresses):
        raise UsageError(f"engine.spark.master = {master}: nobody answers there; start the master, or look at its web "
                         "page for its url")  # fmt: skip


def answers(address: str, within_s: float = ANSWER_S) -> bool:
    """Whether a server listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return False
    try:
        with socket.create_connection((host, int(port)), within_s):
            return True
    except (OSError, OverflowError):
        return False


def java() -> str:
    home = os.environ.get("JAVA_HOME")
    return os.path.join(home, "bin", "java") if home else "java"


def job_options(settings: SparkSettings) -> list[str]:
    """Beam options of every job."""
    options = [f"--sdk_worker_parallelism={settings.workers_per_executor}", *environment(settings)]
    if settings.job_server_jar:
        options.append(f"--files_to_stage={settings.job_server_jar}")  # else its whole class path goes with every job
    return options


def environment(settings: SparkSettings) -> list[str]:
    if settings.image:
        return ["--environment_type=DOCKER", f"--environment_config={settings.image}"]
    worker = settings.worker or str(Path(sys.executable).with_name("pairmill-worker"))
    return ["--environment_type=PROCESS", f"--environment_config={json.dumps({'command': worker})}"]


def properties(settings: SparkSettings) -> dict[str, str]:
    parallelism = {"spark.default.parallelism": str(settings.partitions)} if settings.partitions else {}
    return {SPECULATION: "false", **parallelism, **settings.properties}


class JobServer:
    """Beam's job server for Spark, as long as the block runs; it ends with this process, however that ends."""

    def __init__(self, settings: SparkSettings, log: str) -> None:
        self._settings = settings
        self._log = Path(log)
        self._process: subprocess.Popen[bytes] | None = None
        self._artifacts = ""
        self.endpoint = ""

    def start(self) -> str:
        """HOST:PORT, once the server answers there. Raises RunError."""
        if self._process is None:
            self._artifacts = tempfile.mkdtemp(prefix="pairmill-job-server-")
            command, self.endpoint = self._command()
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen([*GUARDED, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            self._await()
        return self.endpoint

    def _command(self) -> tuple[list[str], str]:
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.spark_runner import SparkJarJobServer

        java_properties = {ONE_APPLICATION: "true"} | properties(self._settings)
        given = [f"--job_server_jvm_properties=-D{k}={v}" for k, v in java_properties.items()]
        given += [f"--job_server_jvm_properties=-Xmx{self._settings.driver_memory}"]
        given += [f"--spark_master_url={self._settings.master}", f"--artifacts_dir={self._artifacts}"]
        given += [f"--job_server_java_launcher={java()}"]
        if self._settings.job_server_jar:
            given.append(f"--spark_job_server_jar={self._settings.job_server_jar}")
        with fetching_the_jar():
            command, endpoint = SparkJarJobServer(PipelineOptions(given)).subprocess_cmd_and_endpoint()
        return with_class_path([str(word) for word in command], self._settings.home), endpoint.replace(
            "localhost", "127.0.0.1"
        )

    def _await(self) -> None:
        until = time.monotonic() + START_S
        while not answers(self.endpoint, POLL_S):
            if not self.is_alive() or time.monotonic() > until:
                raise RunError(f"the job server did not start; its log: {self._log}; its last words: {self.last_words}")
            time.sleep(POLL_S)

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def has_ended(self, within_s: float = ANSWER_S) -> bool:
        """Whether it is gone, or goes within a moment: its watcher may not have noticed yet."""
        until = time.monotonic() + within_s
        while self.is_alive() and time.monotonic() < until:
            time.sleep(POLL_S)
        return not self.is_alive()

    @property
    def last_words(self) -> str:
        return last_error(self._log.read_text(errors="replace"))

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            shutil.rmtree(self._artifacts, ignore_errors=True)
            self._process = None


@contextlib.contextmanager
def fetching_the_jar() -> Iterator[None]:
    """Beam fetches its own job server, 300 MB, where none is given."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise RunError(
            f"Beam's job server cannot be fetched ({error}): get the beam-runners-spark-3-job-server jar of your Beam "
            "version yourself, and --set engine.spark.job_server_jar=FILE"
        ) from error


def with_class_path(command: list[str], home: str) -> list[str]:
    """`java -jar X` knows X alone; with Spark's folder, Spark's own jars come after it."""
    if not home:
        return command
    index = command.index("-jar")
    path = os.pathsep.join([command[index + 1], os.path.join(home, "jars", "*")])
    return [*command[:index], "-cp", path, DRIVER_CLASS, *command[index + 2 :]]


def submit(jar: str, settings: SparkSettings, log: str) -> None:
    """Run a self-contained job through spark-submit, to its end. Raises RunError with its last words."""
    given = [word for k, v in properties(settings).items() for word in ("--conf", f"{k}={v}")]
    command = [*shlex.split(settings.submit), "--master", settings.master, *given, "--class", PIPELINE_CLASS, jar]
    with open(log, "ab") as file:
        start = file.tell()
        code = subprocess.call([*GUARDED, *command], stdout=file, stderr=file)
    if code:
        with open(log, "rb") as file:
            file.seek(start)
            words = file.read().decode(errors="replace")
        raise RuntimeError(f"spark-submit ended with {code}; its log: {log}; its last words: {words}")


def last_error(text: str) -> str:
    """The last line that names an error, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if re.search(r"(Exception|Error)\b.*:", line)]
    return (named or lines or ["nothing"])[-1]


def gives_up_early(failure: str) -> bool:
    """Whether Spark only ended a job because it lost an executor at a bad moment.

    Beam's Reshuffle is a round robin to Spark, whose order it does not trust; where part of one is lost after a later
    step has begun, Spark fails the job. Our pipelines may be run again at any time: rows do not depend on order.
    """
    return "indeterminate output" in failure


def explained(failure: str) -> str:
    """What a failure of Spark's means, and its remedy; the failure itself where that is unknown."""
    for pattern, meaning in MEANINGS:
        if re.search(pattern, failure):
            return meaning.format(own=own_version())
    return failure


MEANINGS = (
    (
        rf"exit code {OTHER_VERSION}\b",
        "a worker has another version than this driver ({own}): install the same on every machine; "
        "the worker's standard error, in the executor's log, names its own",
    ),
    (
        rf"exit code {RUN_NOT_SEEN}\b",
        "a worker cannot use the run directory: choose a --run-dir that every machine sees under the same path "
        "(a shared folder, s3://, gs://, hdfs://); the executor's log names the trouble",
    ),
    (
        r"exit code 12[67]\b|Cannot run program|IOException: error=(2|13),",
        "the worker program does not start on an executor: install pairmill there under the same path, or name the "
        "program with --set engine.spark.worker=/path/of/pairmill-worker",
    ),
)
