"""How the engines are measured: CPU of this process, A B A B, medians; peak memory by role."""

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

POLL_S = 0.5
DECODER = "transforms.image.worker"


class Cost(NamedTuple):
    """Of one piece of work."""

    cpu_s: float  # of this process and its decoders, all threads
    wall_s: float


def cost_of(work: Callable[[], Any]) -> Cost:
    cpu, wall = cpu_s(), time.monotonic()
    work()
    return Cost(cpu_s() - cpu, time.monotonic() - wall)


def cpu_s() -> float:
    """Of this process and of its decoders, which stay from work to work; not of a server that it started."""
    decoders = [pid for pid in children_of(os.getpid()) if DECODER in command_line(pid)]
    times = [psutil.Process(pid).cpu_times() for pid in (os.getpid(), *decoders)]
    return sum(t.user + t.system for t in times)


def a_b_a_b(a: Callable[[], Any], b: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """The median CPU seconds of both, in turn: what the machine does to one it does to the other."""
    costs = [(cost_of(a).cpu_s, cost_of(b).cpu_s) for _ in range(rounds)]
    return statistics.median(c[0] for c in costs), statistics.median(c[1] for c in costs)


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


# memory


def peak_bytes(pid: int) -> int:
    """The largest resident size that a process has had; 0 where it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def children_of(pid: int) -> list[int]:
    """All processes below `pid`."""
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def command_line(pid: int) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline())
    return ""


@contextlib.contextmanager
def watching(pids: Callable[[], dict[str, list[int]]]) -> Iterator[dict[str, int]]:
    """Peak bytes of the largest process by role, until the block ends. `pids`: the processes of each role, now."""
    peaks: dict[str, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(POLL_S):
            for role, found in pids().items():
                peaks[role] = max([peaks.get(role, 0), *map(peak_bytes, found)])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": len(os.sched_getaffinity(0)), "memory_bytes": memory}
