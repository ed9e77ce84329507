"""A process may be stopped between any two of its steps, and stores have moods: never two holders, all the same."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from transforms import storage
from transforms.coordination import lease as leases
from transforms.coordination.lease import Lease, LeaseLost, held

EXPIRY_S = 0.5
LONG_S = 60.0  # no machine is so busy that a heart is late by half of that


class Stop:
    """Where a process is stopped: `here()` does not return before `go_on()`. Once."""

    def __init__(self) -> None:
        self._reached, self._over = threading.Event(), threading.Event()

    def here(self) -> None:
        self._reached.set()
        assert self._over.wait(20)

    def until_reached(self) -> None:
        assert self._reached.wait(20)

    def go_on(self) -> None:
        self._over.set()


def may_ask(lease: Lease) -> bool:
    try:
        lease.check()
    except LeaseLost:
        return False
    return True


def is_untouched(lease: Lease) -> bool:
    """Whether nobody has taken its claim away; whether its heart was late is this machine's doing."""
    return storage.exists(lease._path(lease._claim))


class Clock:
    """Time for those who watch others: it stands still until it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(leases, "Watch", partial(leases.Watch, clock=lambda: self.now_s))


def watched_looks(lease: Lease, after: Callable[[int], None]) -> None:
    """`after(n)` is called when a lease has looked at the others for the n-th time, and has not judged them yet."""
    others, looks = lease._others, []
    lease._pause_s = 0.001

    def look() -> list[leases.Claim]:
        found = others()
        looks.append(found)
        after(len(looks))
        return found

    lease._others = look


def ever(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it is ever true in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def lease_in(run: Path) -> Lease:
    return Lease(storage.join(str(run), "leases", "x"), EXPIRY_S)


def test_stopped_between_the_look_at_the_own_claim_and_its_renewal(tmp_path, monkeypatch):
    stop, real = Stop(), storage.exists
    heart = threading.local()

    def exists(path: str) -> bool:
        found = real(path)
        if getattr(heart, "stopped", None) is None and threading.current_thread() is first._heart:
            heart.stopped = True
            stop.here()
        return found

    monkeypatch.setattr(storage, "exists", exists)
    with held(str(tmp_path), "x", EXPIRY_S) as first:
        stop.until_reached()
        with held(str(tmp_path), "x", EXPIRY_S) as second:
            stop.go_on()
            assert not ever(lambda: may_ask(first), EXPIRY_S)
            assert is_untouched(second)


def test_stopped_between_the_look_at_the_others_and_its_number(tmp_path):
    """It comes back with a number that another one has by now."""
    first, stop = lease_in(tmp_path), Stop()
    first._claim = first._claim._replace(owner="0")  # before any other of the same number
    others, write = first._others, first._write

    def stopped_after_the_look() -> list[leases.Claim]:
        found = others()
        stop.here()
        return found

    def stopped_with_it(**changes: object) -> None:
        if stop._reached.is_set():
            stop._over.wait(20)
        write(**changes)

    first._others, first._write = stopped_after_the_look, stopped_with_it
    lost: list[LeaseLost] = []

    def acquire() -> None:
        try:
            first.acquire()
        except LeaseLost as error:
            lost.append(error)

    thread = threading.Thread(target=acquire)
    thread.start()
    stop.until_reached()
    with held(str(tmp_path), "x", EXPIRY_S) as second:
        stop.go_on()
        thread.join(EXPIRY_S)
        assert not ever(lambda: may_ask(first), EXPIRY_S)
        assert is_untouched(second)
    thread.join()
    first.release()
    assert lost


def test_a_waiter_that_was_stopped_does_not_bury_the_living(tmp_path, monkeypatch):
    """What it read before it was stopped says nothing of the time after."""
    clock, enough = Clock(monkeypatch), threading.Event()
    second = Lease(storage.join(str(tmp_path), "leases", "x"), LONG_S)
    with held(str(tmp_path), "x", LONG_S) as first:

        def stopped_in_the_third(look: int) -> None:  # one for the number, two while it waits
            if look == 3:
                clock.now_s += LONG_S * 1.5
                first._write()  # a heartbeat, meanwhile
            if look == 20:
                enough.set()

        watched_looks(second, stopped_in_the_third)
        thread = threading.Thread(target=second.acquire)
        thread.start()
        assert enough.wait(LONG_S)
        assert thread.is_alive()
        assert may_ask(first)
    thread.join()
    second.release()


def test_a_store_that_shows_nothing_while_it_replaces(monkeypatch):
    """As HDFS does; so does fsspec's store in memory."""
    run, real = f"memory://lease/{time.monotonic_ns()}", MemoryFileSystem.mv
    monkeypatch.setattr(MemoryFileSystem, "mv", lambda *words, **more: (time.sleep(0.01), real(*words, **more))[1])
    monkeypatch.setattr(leases, "MAX_POLL_S", 0.02)
    holders, most = [], []

    def work() -> None:
        for _ in range(3):
            with held(run, "x", LONG_S) as lease:
                holders.append(1)
                most.append(len(holders))
                for _ in range(5):  # heartbeats, of which each replaces an object
                    lease._write()
                holders.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 12


def test_a_claim_that_cannot_be_read_is_nobody_gone(tmp_path, monkeypatch):
    with held(str(tmp_path), "x", EXPIRY_S) as first:

        def unreadable(path: str) -> bytes:
            raise storage.StorageError("the store is out of order")

        with monkeypatch.context() as patch:
            patch.setattr(storage, "read_bytes", unreadable)
            with pytest.raises(storage.StorageError, match="out of order"), held(str(tmp_path), "x", EXPIRY_S):
                pass
        assert may_ask(first)


def test_what_is_no_claim_of_ours_is_waited_out(tmp_path, monkeypatch):
    """Such as one that another version left behind."""
    clock, enough = Clock(monkeypatch), threading.Event()
    storage.publish(str(tmp_path / "leases/x/old.1.json"), b'{"owner": "old"}')
    lease = Lease(storage.join(str(tmp_path), "leases", "x"), LONG_S)
    watched_looks(lease, lambda look: enough.set() if look == 20 else None)
    thread = threading.Thread(target=lease.acquire)
    thread.start()
    assert enough.wait(LONG_S)
    assert thread.is_alive()  # twenty looks, and no time has passed
    clock.now_s = LONG_S * 1.01
    thread.join(LONG_S)
    assert may_ask(lease)
    lease.release()


def test_a_process_that_proc_hides_is_not_dead(monkeypatch):
    """/proc mounted with hidepid: other users' processes are not to be seen there."""
    claim = leases.new_claim(shared=False)._replace(born="1")
    assert claim.is_provably_dead()

    def hidden(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(leases, "this_machine", lambda: claim.machine)
    monkeypatch.setattr(Path, "read_text", hidden)
    assert not claim.is_provably_dead()
