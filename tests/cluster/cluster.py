"""A real Spark standalone cluster on loopback: a master and two workers from pyspark, random ports, ended by pid."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

JOB_SERVER = Path(__file__).parent / "job_server" / "target" / "job-server.jar"
EXECUTOR = "CoarseGrainedExecutorBackend"
WORKER = "pipeline.engines.workers.main --id"
START_S = 60


class Cluster(NamedTuple):
    """A cluster at work."""

    master: str  # spark://127.0.0.1:PORT
    home: str  # Spark's folder
    environment: dict[str, str]  # of the driver
    mark: str  # in the environment of every process of the cluster

    def words(self, engine: str = "spark-standalone", **more: str) -> list[str]:
        """What `pairmill run` is told to work here; `a__b="c"` becomes `--set engine.spark.a.b=c`."""
        spark = {
            "master": self.master,
            "job_server_jar": str(JOB_SERVER),
            "home": self.home,
            "properties.spark.driver.host": "127.0.0.1",
            "properties.spark.executor.memory": "1g",
        } | {key.replace("__", "."): value for key, value in more.items()}
        return ["--engine", engine, *(w for k, v in spark.items() for w in ("--set", f"engine.spark.{k}={v}"))]

    def pids(self, program: str) -> list[int]:
        """Its processes that run `program`, as a word of their command lines."""
        return [pid for pid, line in command_lines() if program in line and is_marked(pid, self.mark)]

    def executors(self) -> list[int]:
        return self.pids(EXECUTOR)

    def sdk_workers(self) -> list[int]:
        return self.pids(WORKER)


def check_tools() -> None:
    """Fail, never skip: a cluster that is not tested is not supported."""
    missing = [name for name, there in (
        ("a Java 17 runtime (Debian: openjdk-17-jre-headless)", shutil.which("java")),
        ("pyspark (make test-cluster installs it)", importlib.util.find_spec("pyspark")),
        (f"{JOB_SERVER.name} (make test-cluster builds it with Maven; Debian: maven)", JOB_SERVER.is_file()),
    ) if not there]  # fmt: skip
    assert not missing, f"the cluster's tests need {' and '.join(missing)}"


# Every job starts JVMs that live for some seconds: compiling their code well takes longer than running it.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"


@contextlib.contextmanager
def spark_cluster(more: Mapping[str, str] | None = None, cores: int = 1) -> Iterator[Cluster]:
    """A master and two workers with `cores` each, until the block ends. `more`: variables of their environment."""
    check_tools()
    home = str(Path(importlib.util.find_spec("pyspark").origin).parent)
    mark = f"pairmill-cluster-{os.getpid()}-{time.monotonic_ns()}"
    spark = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": home, "SPARK_DAEMON_MEMORY": "512m"}
    spark["JAVA_TOOL_OPTIONS"] = SHORT_LIVED
    environment = {**os.environ, **spark, **(more or {}), "PAIRMILL_CLUSTER": mark}
    with tempfile.TemporaryDirectory(prefix="pairmill-cluster-") as folder, contextlib.ExitStack() as stack:
        start = Starter(Path(folder), environment, stack)
        master = start("master.Master", "--port", "0", says=r"spark://127\.0\.0\.1:\d+")
        for number in (1, 2):
            work = ("--cores", str(cores), "--memory", "2g", "--work-dir", f"{folder}/work-{number}", master)
            start("worker.Worker", *work, says="Successfully registered with master")
        yield Cluster(master, home, {**spark, **(more or {})}, mark)


class Starter:
    """Starts Spark's daemons and ends them with the stack."""

    def __init__(self, folder: Path, environment: Mapping[str, str], stack: contextlib.ExitStack) -> None:
        self._folder, self._environment, self._stack = folder, environment, stack
        self._number = 0

    def __call__(self, daemon: str, *words: str, says: str) -> str:
        """Start `daemon`; what it said of the pattern `says`."""
        self._number += 1
        log = self._folder / f"{self._number}.log"
        program = Path(sys.executable).with_name("spark-class")
        command = [program, f"org.apache.spark.deploy.{daemon}", "--host", "127.0.0.1", "--webui-port", "0", *words]
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=self._environment, start_new_session=True)
        self._stack.callback(end, process)
        return await_words(process, log, says)


def end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def await_words(process: subprocess.Popen, log: Path, pattern: str) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(pattern, log.read_text(errors="replace")):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no {pattern!r} within {START_S} s:\n{log.read_text(errors='replace')[-2000:]}")


def command_lines() -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def is_marked(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
