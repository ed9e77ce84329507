"""Locks in a run directory, on a local disk and on an object store: who works beside whom, and what the dead leave."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from helpers.s3 import reaching, serving_s3

from pipeline import locks
from pipeline.errors import UsageError
from pipeline.locks import one_at_a_time, only_one
from transforms import storage
from transforms.coordination import lease
from transforms.coordination.lease import LeaseLost

EXPIRY_S = 2.0
WHOLE, FIRST, SECOND = (0, 1), (0, 2), (1, 2)
WORKER = """
import sys
from pipeline import locks
from transforms.coordination import lease
run, index, count, expiry_s, machine = sys.argv[1:]
locks.EXPIRY_S = float(expiry_s)
if machine:
    lease.this_machine = lambda: machine
with locks.only_one(run, (int(index), int(count))):
    print("at work", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with serving_s3(tmp_path_factory.mktemp("locks") / "root") as server, reaching(server.environment):
        yield server


@pytest.fixture(params=["local", "s3"])
def run(request, tmp_path, monkeypatch) -> str:
    """A new run directory on either kind of store."""
    monkeypatch.setattr(locks, "EXPIRY_S", EXPIRY_S)
    return str(tmp_path) if request.param == "local" else bucket_of(request, tmp_path)


@pytest.fixture
def remote_run(request, tmp_path, monkeypatch) -> str:
    monkeypatch.setattr(locks, "EXPIRY_S", EXPIRY_S)
    return bucket_of(request, tmp_path)


def bucket_of(request, tmp_path) -> str:
    return f"{request.getfixturevalue('s3').url}/{tmp_path.name}"


@contextmanager
def another(run: str, part: tuple[int, int], machine: str = "") -> Iterator[subprocess.Popen]:
    """Another process that is at work in `run`; its input ends it."""
    words = [sys.executable, "-c", WORKER, run, *map(str, part), str(EXPIRY_S), machine]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "at work\n"
        yield process
    finally:
        process.kill()
        process.wait()


class Naps:
    """What this thread slept between its looks at a lock, in seconds: as many on a busy machine as on a quiet one."""

    def __init__(self, monkeypatch) -> None:
        self.total_s = 0.0
        self._sleep, self._thread = time.sleep, threading.get_ident()
        monkeypatch.setattr(lease.time, "sleep", self._nap)

    def _nap(self, seconds: float) -> None:
        if threading.get_ident() == self._thread:
            self.total_s += seconds
        self._sleep(seconds)


@pytest.fixture
def naps(monkeypatch) -> Naps:
    return Naps(monkeypatch)


def begin(run: str, part: tuple[int, int] = WHOLE) -> None:
    with only_one(run, part):
        pass


@pytest.mark.parametrize(("theirs", "ours"), [(WHOLE, WHOLE), (WHOLE, FIRST), (FIRST, WHOLE), (FIRST, FIRST)])
def test_who_must_not_work_beside_whom(run, naps, theirs, ours):
    with another(run, theirs), pytest.raises(UsageError, match="another pairmill is at work here; wait for it"):
        begin(run, ours)
    naps.total_s = 0
    begin(run, ours)
    assert naps.total_s < EXPIRY_S  # a refusal leaves nothing behind


def test_slices_work_side_by_side(run, naps):
    with another(run, FIRST):
        begin(run, SECOND)
        assert naps.total_s < EXPIRY_S


def test_who_ends_makes_way_at_once(run, naps):
    with another(run, WHOLE) as process:
        process.stdin.close()
        assert process.wait(20) == 0
        begin(run)
        assert naps.total_s < EXPIRY_S


def test_who_was_killed_on_this_machine_makes_way_at_once(run, naps):
    with another(run, WHOLE) as process:
        process.kill()
        process.wait()
        begin(run)
        assert naps.total_s < EXPIRY_S


def test_who_was_killed_on_another_machine_is_watched_and_followed(remote_run, naps):
    with another(remote_run, WHOLE, "another machine") as process:
        process.kill()
        process.wait()
        began = time.monotonic()
        begin(remote_run)
        assert time.monotonic() - began > EXPIRY_S * 0.9
        assert naps.total_s < EXPIRY_S * 6


def test_who_is_alive_on_another_machine_is_found_out_before_its_lease_could_end(remote_run, naps):
    with another(remote_run, WHOLE, "another machine"), pytest.raises(UsageError, match=remote_run):
        begin(remote_run)
    assert naps.total_s < EXPIRY_S * 2


def test_who_is_stopped_for_a_moment_is_still_at_work(remote_run):
    with another(remote_run, WHOLE, "another machine") as process:
        process.send_signal(signal.SIGSTOP)
        threading.Timer(EXPIRY_S / 3, os.kill, (process.pid, signal.SIGCONT)).start()
        with pytest.raises(UsageError):
            begin(remote_run)


def test_one_at_a_time_waits_and_different_things_do_not(run):
    order: list[str] = []
    begun = threading.Event()

    def first() -> None:
        with one_at_a_time(run, "rest"):
            begun.set()
            with one_at_a_time(run, "plan"):
                time.sleep(EXPIRY_S / 3)
                order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(20)
    with one_at_a_time(run, "rest"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_driver_whose_lock_was_taken_away_is_told_before_it_writes(remote_run):
    with only_one(remote_run, WHOLE) as check:
        check()
        end = time.monotonic() + EXPIRY_S * 5
        with pytest.raises(LeaseLost, match="another attempt may have it"):
            while time.monotonic() < end:
                for claim in storage.glob_files(f"{remote_run}/leases/*/*.json"):
                    storage.delete(claim)
                time.sleep(EXPIRY_S / 20)
                check()


def test_an_error_inside_gives_the_lock_back(run):
    with pytest.raises(ZeroDivisionError), only_one(run, WHOLE):
        raise ZeroDivisionError
    begin(run)


def test_on_an_object_store_nothing_is_left(remote_run, s3):
    folder = s3.folder / remote_run.rpartition("/")[2]
    with only_one(remote_run, FIRST), one_at_a_time(remote_run, "plan"):
        assert len(list(folder.rglob("*.json"))) >= 3
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_run_directory_that_cannot_be_made_is_a_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--run-dir: cannot make the folder .* choose another one"):
        begin(str(tmp_path / "file" / "run"))
