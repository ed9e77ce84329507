"""Leases in a run directory: of several processes, on any machines, one at a time does something.

Lamport's bakery (A New Solution of Dijkstra's Concurrent Programming Problem, 1974) over objects: each process writes
one claim of its own and reads those of the others. That needs no atomic create and no common clock, only that what was
written is seen by the next who lists; local folders and today's object stores keep that.

A claim is renewed by a heartbeat. Whoever waits judges by his own clock: a claim that has not changed for `expiry_s`
is dead. A holder that could not renew for half of that must stop: `check()` says so before every request. Any process
may be stopped between any two steps, for as long as you like: a renewal counts by when it ended, a look at the others
by when it began.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from transforms import storage
from transforms.coordination.fatal import FatalError

FOLDER = "leases"
BEATS = 5  # in the time after which a claim is dead
NEVER = float("-inf")
MAX_POLL_S = 0.5
LOOKS = 5  # at claims that come and go
HIDDEN = "?"  # when a process began that lives, but that we must not look at
TAKES = 3  # of a lease that is lost again and again

T = TypeVar("T")


class LeaseLost(FatalError):
    """Another attempt may be at work by now: this one must stop."""


class LeaseTaken(FatalError):
    """Somebody alive holds the lease, and the caller did not want to wait."""


class Claim(NamedTuple):
    """What one process says of itself."""

    owner: str
    shared: bool  # does not mind other shared ones
    choosing: bool  # its number is not known yet
    number: int  # who has the smallest comes first
    beat: int
    machine: str  # with its boot and process namespace; "" where that cannot be known
    pid: int
    born: str  # when the process began, in the kernel's ticks: pids are used again
    busy: int = 0  # how much its holder has under way, for people who look
    done: int = 0  # how much of its work is done, what is not committed yet included

    def stands_before(self, other: "Claim") -> bool:
        if self.shared and other.shared:
            return False
        return self.choosing or (self.number, self.owner) < (other.number, other.owner)

    def is_provably_dead(self) -> bool:
        """Whether it is from this very machine, and its process is gone: nobody needs to wait then."""
        here = self.machine != "" and self.machine == this_machine()
        return here and born_of(self.pid) not in (self.born, HIDDEN)


@contextmanager
def held(run: str, name: str, expiry_s: float, *, shared: bool = False, wait: bool = True) -> Iterator["Lease"]:
    """Holds the lease `name` of a run directory while the block runs; first waits until nobody else does.

    Raises LeaseTaken instead of waiting for somebody who is alive where `wait` is False, StorageError.
    """
    lease = Lease(storage.join(run, FOLDER, name), expiry_s, shared)
    try:
        lease.acquire(wait)
        yield lease
    finally:
        lease.release()


def while_held(run: str, name: str, expiry_s: float, work: Callable[["Lease"], T]) -> T:
    """What `work` gives, done under the lease `name`. Where that is lost it is taken anew, and `work` called again.

    A machine that slept, or a store that was away, costs a wait and no failure; `work` must go on from what it finds
    committed. Raises LeaseLost after TAKES losses, StorageError.
    """
    for takes_left in reversed(range(TAKES)):
        try:
            with held(run, name, expiry_s) as lease:
                return work(lease)
        except LeaseLost:
            if not takes_left:
                raise
    raise AssertionError("the last take raises")


def clear(run: str, prefix: str, expiry_s: float, say: Callable[[str], object] = str) -> None:
    """Ends with no lease held whose name begins with `prefix`: before what its holders write is cleared, or at the end.

    Raises StorageError.
    """
    for name in storage.list_names(storage.join(run, FOLDER), f"{prefix}*"):
        folder = storage.join(run, FOLDER, name)
        if storage.list_names(folder):
            say(f"waiting for an earlier attempt to end, or to be silent for {expiry_s:g} s: {name}")
            with held(run, name, expiry_s) as lease:
                lease.check()
        storage.delete_folder(folder)


def living(run: str, prefix: str) -> list[tuple[str, Claim]]:
    """The leases whose names begin with `prefix`, each with the last heartbeat of one who holds it or waits for it.

    Raises StorageError.
    """
    found: dict[tuple[str, str], Claim] = {}
    for name in storage.list_names(storage.join(run, FOLDER), f"{prefix}*"):
        folder = storage.join(run, FOLDER, name)
        for file in storage.list_names(folder, "*.[01].json"):
            with suppress(storage.StorageError):  # withdrawn meanwhile
                claim = read_claim(storage.join(folder, file))
                known = found.get((name, claim.owner), claim)
                found[name, claim.owner] = max(claim, known, key=lambda c: c.beat)
    return [(name, claim) for (name, _), claim in found.items() if not claim.is_provably_dead()]


class Lease:
    """One process's claim. `expiry_s`: seconds without a heartbeat after which it is dead."""

    def __init__(self, folder: str, expiry_s: float, shared: bool = False) -> None:
        self._folder = folder
        self._expiry_s = expiry_s
        self._pause_s = min(MAX_POLL_S, expiry_s / 10)
        self._claim = new_claim(shared)
        self.busy: Callable[[], int] = lambda: 0  # asked at each heartbeat, as is the next
        self.done: Callable[[], int] = lambda: 0
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._renewed = NEVER

    def check(self) -> None:
        """Raises LeaseLost. Cheap: to be called before everything that only the holder may do."""
        if self._is_late():
            raise LeaseLost(
                f"the lease {self._folder} was not renewed within {self._expiry_s / 2:g} s, or was taken away: another "
                "attempt may have it by now; what is committed stays, the same command goes on"
            )

    def acquire(self, wait: bool = True) -> None:
        """Returns when no claim is before this one. Raises LeaseTaken, LeaseLost, StorageError."""
        storage.list_names(self._folder)  # a process's first request loads libraries and credentials: not on our time
        self._renewed = time.monotonic()
        self._write(choosing=True)
        self._heart.start()
        last = max((claim.number for claim in self._others()), default=0)
        self._write(choosing=False, number=last + 1)
        watch = Watch(self._expiry_s)
        while before := self._before(watch):
            alive = [claim for claim in before if watch.is_seen_alive(claim)]
            if alive and not wait:
                raise LeaseTaken(f"{self._folder} is held by process {alive[0].pid}")
            time.sleep(self._pause_s)
            self.check()
        self.check()

    def release(self) -> None:
        """Others may have it. What cannot be deleted expires."""
        self._over.set()
        if self._heart.is_alive():
            self._heart.join()
        try:
            self._delete(self._claim)
        except storage.StorageError:
            return

    def _before(self, watch: "Watch") -> list[Claim]:
        """The living claims before this one; dead ones are removed on the way."""
        asked_s = watch.now()
        before = [claim for claim in self._others() if claim.stands_before(self._claim)]
        dead = [claim for claim in before if watch.is_dead(claim, asked_s)]
        for claim in dead:
            self._delete(claim)
        return [claim for claim in before if claim not in dead]

    def _others(self) -> list[Claim]:
        listed = storage.list_names(self._folder, "*.[01].json")
        owners = {owner: list(names) for owner, names in groupby(listed, key=lambda name: name.partition(".")[0])}
        owners.pop(self._claim.owner, None)
        found = (self._latest(owner, names) for owner, names in owners.items())
        return [claim for claim in found if claim is not None]

    def _latest(self, owner: str, names: list[str]) -> Claim | None:
        """What `owner` has written last; None where it is withdrawn.

        Raises StorageError: nobody is gone because a read failed.
        """
        for looks_left in reversed(range(LOOKS)):
            try:
                claims = [read_claim(storage.join(self._folder, name)) for name in names]
                return max(claims, key=lambda claim: claim.beat, default=None)
            except storage.StorageError:  # gone since it was listed; the owner may be listed under its other name
                if not looks_left:
                    raise
                names = storage.list_names(self._folder, f"{owner}.[01].json")
        raise AssertionError("the last look raises")

    def _write(self, **changes: object) -> None:
        """What ends too late is lost for good: others may have taken the claim for dead before it changed."""
        with self._writing:
            began = time.monotonic()
            news = {"beat": self._claim.beat + 1, "busy": self.busy(), "done": self.done()} | changes
            self._claim = self._claim._replace(**news)  # type: ignore[arg-type]
            storage.publish(self._path(self._claim), json.dumps(self._claim._asdict()).encode())
            self._renewed = NEVER if self._is_late() else began  # the others may have seen it as early as that

    def _path(self, claim: Claim) -> str:
        """Two names by turns: a store that cannot replace (HDFS) shows none for a moment, and then shows the other."""
        return storage.join(self._folder, f"{claim.owner}.{claim.beat % 2}.json")

    def _delete(self, claim: Claim) -> None:
        """The newer one last: nobody sees a beat go back."""
        for beat in (claim.beat + 1, claim.beat):
            storage.delete(self._path(claim._replace(beat=beat)))

    def _is_late(self) -> bool:
        return time.monotonic() - self._renewed > self._expiry_s / 2

    def _beat(self) -> None:
        """Renew until it is over, or until it is too late: a claim that was given up must not come back."""
        while not self._over.wait(max(0.0, self._renewed + self._expiry_s / BEATS - time.monotonic())):
            try:
                self.check()
                if not storage.exists(self._path(self._claim)):
                    self._renewed = NEVER
                    return
                self._write()
            except LeaseLost:
                return
            except storage.StorageError:
                self._over.wait(self._expiry_s / BEATS / 4)  # the next may work; check() knows how old the last one is


class Watch:
    """What one waiting process has seen of the others' hearts, by its own clock."""

    def __init__(self, expiry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._expiry_s = expiry_s
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}  # owner → beat, when it was first seen
        self._alive: set[str] = set()

    def now(self) -> float:
        return self._clock()

    def is_dead(self, claim: Claim, asked_s: float) -> bool:
        """`asked_s`: when we began to read `claim`. It says nothing of the time since then, however long that was."""
        beat, since = self._seen.get(claim.owner, (None, 0.0))
        if beat != claim.beat:
            if beat is not None:
                self._alive.add(claim.owner)
            self._seen[claim.owner] = claim.beat, self.now()
            return claim.is_provably_dead()
        return asked_s - since > self._expiry_s or claim.is_provably_dead()

    def is_seen_alive(self, claim: Claim) -> bool:
        """Whether its heart has beaten while we watched."""
        return claim.owner in self._alive


def new_claim(shared: bool) -> Claim:
    pid = os.getpid()
    return Claim(uuid.uuid4().hex, shared, True, 0, 0, this_machine(), pid, born_of(pid))


def read_claim(path: str) -> Claim:
    """What is no claim of ours is waited out like one. Raises StorageError."""
    try:
        return Claim(**json.loads(storage.read_bytes(path)))
    except (ValueError, TypeError):
        owner, turn, _ = os.path.basename(path).rsplit(".", 2)
        return Claim(owner, False, True, 0, int(turn == "1"), "", 0, "")


def this_machine() -> str:
    """A name of this machine since its last start, and of the namespace in which pids mean something; Linux only."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def born_of(pid: int) -> str:
    """When a process of this machine began, in ticks since the start (proc(5), field 22); "" where there is none.

    /proc mounted with hidepid shows other users' processes to nobody; kill(2) with signal 0 knows them.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return HIDDEN if is_known(pid) else ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def is_known(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
