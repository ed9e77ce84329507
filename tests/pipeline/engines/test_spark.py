"""Spark without a cluster: what is refused before any work, and what a worker checks before it begins."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2 as messages
from apache_beam.portability.api import beam_provision_api_pb2_grpc as services
from google.protobuf import json_format, struct_pb2
from helpers.command import demo_words, pairmill

from pipeline.config import EngineSettings, find_engine, load
from pipeline.engines import spark
from pipeline.engines.engine import Engine
from pipeline.engines.spark import SparkSettings, check_spark, explained, job_options, properties
from pipeline.engines.workers.handshake import OPTION, OTHER_VERSION, RUN_NOT_SEEN, Probe, own_version
from pipeline.errors import RunError, UsageError

WORKER = Path(sys.executable).with_name("pairmill-worker")


@pytest.mark.parametrize(("settings", "words"), [
    ({}, "engine.spark.master is empty"),
    ({"master": "127.0.0.1:7077"}, "expected spark://HOST:PORT, yarn, k8s://... or local"),
    ({"master": "spark://127.0.0.1:1"}, "nobody answers there; start the master"),
    ({"master": "spark://nobody"}, "nobody answers there"),
    ({"master": "yarn", "properties": {"spark.speculation": "true"}}, "spark.speculation is refused"),
    ({"master": "yarn", "job_server_jar": "/nowhere/x.jar"}, "engine.spark.job_server_jar = /nowhere/x.jar"),
    ({"master": "yarn", "home": "/nowhere"}, "engine.spark.home = /nowhere"),
    ({"master": "yarn", "worker": "bin/pairmill-worker"}, "give an absolute path"),
    ({"master": "yarn", "submit": "spark-submit-that-is-missing"}, "spark-submit-that-is-missing is not there"),
])  # fmt: skip
def test_refused_before_any_work(settings, words):
    with pytest.raises(UsageError, match=words):
        check_spark(SparkSettings(**settings))


def test_java_is_looked_for(monkeypatch):
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(UsageError, match=r"/nowhere/bin/java is not there: Spark needs Java"):
        check_spark(SparkSettings(master="yarn"))


def test_nothing_is_written_where_the_engine_is_refused(call, tmp_path):
    words = demo_words(tmp_path / "run", "--engine", "spark-standalone")
    outcome = call(*words, "--set", "engine.spark.master=spark://127.0.0.1:1")
    assert outcome.code == 2
    assert outcome.err.startswith("pairmill: engine.spark.master = spark://127.0.0.1:1: nobody answers there")
    assert not (tmp_path / "run/manifest").exists()


def test_a_dead_job_endpoint_is_refused(call, tmp_path):
    words = demo_words(tmp_path / "run", engine__runner="PortableRunner")
    outcome = call(*words, "--", "--job_endpoint=127.0.0.1:1")
    assert outcome.code == 2
    assert "--job_endpoint=127.0.0.1:1: nobody answers there; start the job server first" in outcome.err


@pytest.mark.parametrize("name", sorted(p.stem for p in find_engine("local").parent.glob("*.yaml")))
def test_every_profile_is_a_sound_engine_and_says_how_it_is_used(name):
    settings = load("demo", engine=name)
    assert settings.engine.runner
    head = find_engine(name).read_text().split("engine:")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert f"--engine {name}" in head


def test_spark_properties_may_be_written_with_dots():
    dotted = load("demo", ["engine.spark.properties.spark.executor.memory=4g"], "spark-standalone").engine.spark
    assert dotted.properties["spark.executor.memory"] == "4g"
    assert dotted.properties["spark.ui.enabled"] == "false"  # the profile's own stay
    assert SparkSettings(properties={"spark.a": True, "spark": {"b": 2}}).properties == {
        "spark.a": "true",
        "spark.b": "2",
    }
    assert properties(SparkSettings(partitions=7))["spark.default.parallelism"] == "7"


def test_a_job_is_told_where_its_workers_are():
    process = job_options(SparkSettings(worker="/opt/pairmill/bin/pairmill-worker"))
    assert '--environment_config={"command": "/opt/pairmill/bin/pairmill-worker"}' in process
    assert "--environment_type=DOCKER" in job_options(SparkSettings(image="example/pairmill:1"))
    assert f"--environment_config={json.dumps({'command': str(WORKER)})}" in job_options(SparkSettings())
    assert WORKER.is_file()


@pytest.mark.parametrize(("failure", "meaning"), [
    (f"IllegalStateException: Process died with exit code {OTHER_VERSION}", "another version"),
    (f"Process died with exit code {RUN_NOT_SEEN}", "cannot use the run directory"),
    ("Process died with exit code 127", "install pairmill"),
    ('IOException: Cannot run program "/x": error=2, No such file or directory', "install pairmill"),
    ("ValueError: 7", "ValueError: 7"),
])  # fmt: skip
def test_what_spark_tells_is_explained(failure, meaning):
    assert meaning in explained(failure)


def test_the_last_error_of_a_log():
    log = "INFO begun\nException in thread main java.lang.IllegalStateException: no more\n\tat x.Y\nINFO hook called\n"
    assert spark.last_error(log) == "Exception in thread main java.lang.IllegalStateException: no more"
    assert spark.last_error("") == "nothing"


class Provisioner(services.ProvisionServiceServicer):
    """What a runner tells a worker that it has started."""

    def __init__(self, options: dict[str, str]) -> None:
        struct = json_format.Parse(json.dumps(options), struct_pb2.Struct())
        self.info = messages.ProvisionInfo(pipeline_options=struct)
        self.info.control_endpoint.url = self.info.logging_endpoint.url = "127.0.0.1:1"

    def GetProvisionInfo(self, request, context):
        return messages.GetProvisionInfoResponse(info=self.info)


@pytest.fixture
def started_worker():
    """The outcome of a worker that a runner with these options starts."""
    server = grpc.server(ThreadPoolExecutor(1))

    def start(probe: Probe) -> subprocess.CompletedProcess[str]:
        options = {OPTION.format(f"pairmill_{name}"): value for name, value in probe._asdict().items()}
        services.add_ProvisionServiceServicer_to_server(Provisioner(options), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        words = [WORKER, "--id=1-1", f"--provision_endpoint=127.0.0.1:{port}"]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    yield start
    server.stop(0)


def test_a_worker_of_another_version_refuses_to_work(started_worker, tmp_path):
    outcome = started_worker(Probe.publish(str(tmp_path))._replace(version="pairmill 0.0.1"))
    assert outcome.returncode == OTHER_VERSION
    assert outcome.stderr == f"pairmill-worker: the driver is pairmill 0.0.1, this worker is {own_version()}\n"


def test_a_worker_that_does_not_see_the_run_refuses_to_work(started_worker, tmp_path):
    probe = Probe.publish(str(tmp_path))
    (tmp_path / ".probe").unlink()
    outcome = started_worker(probe)
    assert outcome.returncode == RUN_NOT_SEEN
    assert f"cannot read {tmp_path}/.probe" in outcome.stderr


def test_a_worker_that_sees_another_folder_under_that_name_refuses_to_work(started_worker, tmp_path):
    outcome = started_worker(Probe.publish(str(tmp_path))._replace(token="of another machine"))
    assert outcome.returncode == RUN_NOT_SEEN
    assert "another file here than on the driver's machine" in outcome.stderr


def test_a_child_gives_its_exit_code():
    words = [sys.executable, "-m", "pipeline.engines.workers.parent_guard", sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(words, check=False).returncode == 7


def test_a_child_ends_with_the_one_who_asked_for_it(tmp_path):
    """As a job server does whose driver is killed."""
    note = tmp_path / "pid"
    sleeper = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    asker = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-m', 'pipeline.engines.workers.parent_guard', *sys.argv[1:]]); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", asker, sys.executable, "-c", sleeper])
    wait_until(lambda: note.exists() and note.read_text())
    process.kill()
    process.wait()
    wait_until(lambda: not is_running(int(note.read_text())))


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.timeout(240)
def test_a_portable_runner_without_java_gives_the_same_shards(finished, tmp_path, digest_of_folder):
    """The same way to a runner as Spark's, with workers inside the driver."""
    words = demo_words(tmp_path / "run", engine__runner="PortableRunner")
    outcome = pairmill(*words, "--", "--job_endpoint=embed", "--environment_type=LOOPBACK")
    assert outcome.code == 0, outcome.err
    assert digest_of_folder(tmp_path / "run/shards") == digest_of_folder(finished / "shards")


@pytest.mark.parametrize(("failures", "runs"), [
    (["a stage with indeterminate output was failed and retried", None], 2),
    (["ValueError: 7"], 1),
])  # fmt: skip
def test_a_job_that_spark_gives_up_early_is_run_again(monkeypatch, failures, runs):
    left = list(failures)
    monkeypatch.setattr(Engine, "pipeline_options", lambda self, stage, workers: [])
    monkeypatch.setattr(Engine, "_attempt", lambda self, make, options: left.pop(0))
    engine = Engine(EngineSettings(runner="SparkRunner"))
    if failures[-1] is None:
        engine.run(lambda p: None, "pack")
    else:
        with pytest.raises(RunError, match="pack: ValueError: 7"):
            engine.run(lambda p: None, "pack")
    assert len(failures) - len(left) == runs
