"""What goes wrong on a cluster: a clear line, or the right result. The long ones are run by `make soak`."""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from cluster import Cluster
from helpers.command import Outcome, Started, demo_words, pairmill
from test_demo_on_spark import check_same, collected

JOB_SERVER = "SparkJobServerDriver"
OTHER_VERSION = """
import sys, pipeline
pipeline.__version__ = "0.0.1"
import pipeline.engines.workers.main
pipeline.engines.workers.main.main([*sys.argv[1:], "--supervised"])
"""


ONCE = {"properties__spark__task__maxFailures": "1"}  # what fails for ever need not be tried eight times


@pytest.fixture
def ready(finished, tmp_path) -> Path:
    """A run directory in which `collect` is done."""
    return collected(finished, tmp_path / "run")


def script(path: Path, line: str) -> str:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def run(cluster: Cluster, run_dir: Path, *more: str, cwd: Path | None = None, **spark: str) -> Outcome:
    words = demo_words(run_dir, *cluster.words(**spark), *more)
    return pairmill(*words, env=cluster.environment, timeout_s=200, cwd=cwd)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("line", [
    pytest.param("exec /nowhere/python -m pipeline.engines.workers.main", marks=pytest.mark.soak), None,
])  # fmt: skip
def test_a_worker_without_python(cluster, ready, tmp_path, line):
    worker = script(tmp_path / "worker", line) if line else str(tmp_path / "missing")
    outcome = run(cluster, ready, worker=worker, **ONCE)
    assert outcome.code == 3
    assert "plan: the worker program does not start on an executor: install pairmill there" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.timeout(240)
def test_a_worker_of_another_version(cluster, ready, tmp_path):
    worker = script(tmp_path / "worker", f"exec {sys.executable} -c '{OTHER_VERSION}' \"$@\"")
    outcome = run(cluster, ready, worker=worker, **ONCE)
    assert outcome.code == 3
    assert "plan: a worker has another version than this driver (pairmill " in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_run_directory_that_workers_do_not_see(cluster, finished, tmp_path):
    """`/proc/self/cwd` is another folder in each process."""
    collected(finished, tmp_path / "run")
    outcome = run(cluster, Path("/proc/self/cwd/run"), cwd=tmp_path, **ONCE)
    assert outcome.code == 3
    assert "plan: a worker cannot use the run directory: choose a --run-dir that every machine sees" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "run/images").exists() or not list((tmp_path / "run/images").rglob("*.parquet"))


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_the_job_server_is_killed_and_the_run_goes_on_here(cluster, ready, finished):
    started = Started(demo_words(ready, *cluster.words()), env=cluster.environment)
    assert started.wait_until(lambda: bool(list((ready / "leases").glob("fetch-0*/*.json"))), 120)
    (server,) = [pid for pid in started.pids() if JOB_SERVER in Path(f"/proc/{pid}/cmdline").read_text()][-1:]
    os.kill(server, signal.SIGKILL)
    outcome = started.wait(100)
    assert outcome.code == 3
    assert "fetch: the job server ended while the job ran; its log: " in outcome.err
    assert "Traceback" not in outcome.err
    again = pairmill(*demo_words(ready))
    assert again.code == 0, again.err
    check_same(ready, finished)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_the_driver_is_killed_and_the_run_goes_on_here(cluster, ready, finished):
    """Its job server ends with it, and Spark then ends what the job had started. Another engine may go on."""
    started = Started(demo_words(ready, *cluster.words()), env=cluster.environment)
    assert started.wait_until(lambda: bool(list((ready / "leases").glob("fetch-0*/*.json"))), 120)
    started.kill_parent()
    started.wait()
    assert started.left_behind(20) == []
    again = pairmill(*demo_words(ready))
    assert again.code == 0, again.err
    check_same(ready, finished)


@pytest.mark.timeout(300)
def test_a_worker_whose_disk_is_full(cluster, ready, tmp_path):
    """No file may be larger than a block: what the worker says is what it says of a full disk."""
    limited = script(tmp_path / "worker", f'ulimit -f 1\nexec {Path(sys.executable).with_name("pairmill-worker")} "$@"')
    outcome = run(cluster, ready, worker=limited, **ONCE)
    assert outcome.code == 3
    assert "cannot write" in outcome.err
    assert "run again" in outcome.err
    assert "Traceback" not in outcome.err
    again = pairmill(*demo_words(ready))
    assert again.code == 0, again.err
