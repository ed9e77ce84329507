"""SDK workers and executors killed at random moments of fetch and pack: as if nothing had happened."""

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from cluster import Cluster
from helpers.command import Started, demo_words
from helpers.kill import log_lines
from test_demo_on_spark import check_same, collected

SEED = int(os.environ.get("PAIRMILL_KILL_SEED", random.SystemRandom().randrange(10**6)))
GAP_S = 0.3
PACE = {"web__hosts": f'[{{pattern: "*", at_once: 1, gap_s: {GAP_S}}}]', "web__lease_s": "12"}
CLOCK_S = 0.05  # between a request's arrival and its line in the log, on a machine with other work


def kill_one(started: Started, pids: Callable[[], list[int]], rng: random.Random, most_s: float) -> str:
    """SIGKILL to one of the processes, some moment after there is one."""
    assert started.wait_until(lambda: bool(pids()), 60)
    time.sleep(rng.uniform(0, most_s))
    assert started.wait_until(lambda: bool(pids()), 60)  # they come and go with the steps of a job
    pid = pids()[0]
    os.kill(pid, signal.SIGKILL)
    return f"{pid} at {started.seconds:.1f} s"


def kill_in_fetch(cluster: Cluster, started: Started, run: Path, rng: random.Random) -> None:
    """Tasks wait for slow hosts: there is time for a worker's death and then for an executor's."""
    assert started.wait_until(lambda: bool(list((run / "leases").glob("fetch-0*/*.json"))), 200), started.wait().err
    worker = kill_one(started, cluster.sdk_workers, rng, 3)
    print(f"fetch: SDK worker {worker}, executor {kill_one(started, cluster.executors, rng, 6)}")


def kill_in_pack(cluster: Cluster, started: Started, run: Path, rng: random.Random) -> None:
    """Executors stay from job to job, workers start for each: an executor dies first, and a worker of the retry."""
    assert started.wait_until((run / "manifest/pack.main.started.json").exists, 200), started.wait().err
    executor = kill_one(started, cluster.executors, rng, 3)
    print(f"pack: executor {executor}, SDK worker {kill_one(started, cluster.sdk_workers, rng, 1.5)}")


def killed_run(cluster: Cluster, run: Path, rng: random.Random) -> None:
    started = Started(demo_words(run, *cluster.words(), **PACE), env=cluster.environment)
    kill_in_fetch(cluster, started, run, rng)
    kill_in_pack(cluster, started, run, rng)
    outcome = started.wait(400)
    assert outcome.code == 0, outcome.err
    print(f"ended well after {outcome.seconds:.0f} s")


def check_pace(run: Path) -> None:
    """From the server's log: no host was asked faster than its limit, over all attempts."""
    hosts = defaultdict(list)
    for line in log_lines(run):
        moment, host, _, _ = line.split(" ")
        hosts[host].append(float(moment))
    assert len(hosts) > 5
    shortest = min(b - a for moments in hosts.values() for a, b in pairwise(sorted(moments)))
    assert shortest >= GAP_S - CLOCK_S


def one_round(cluster: Cluster, finished: Path, run: Path, number: int) -> None:
    print(f"\nseed {SEED}, round {number}")
    collected(finished, run)
    killed_run(cluster, run, random.Random(SEED + number))
    check_same(run, finished)
    check_pace(run)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(2))
def test_killed_workers_and_executors(cluster, finished, tmp_path, digest_of_folder, number):
    one_round(cluster, finished, tmp_path / "run", number)
    assert digest_of_folder(tmp_path / "run/shards") == digest_of_folder(finished / "shards")


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(10))
def test_killed_workers_and_executors_ten_times(cluster, finished, tmp_path, number):
    one_round(cluster, finished, tmp_path / "run", 100 + number)
