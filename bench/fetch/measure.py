"""What a command costs: CPU of all its processes, wall clock, peak memory."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

POLL_S = 0.25


class Cost(NamedTuple):
    """Of one run of a command."""

    cpu_s: float  # of all its processes
    wall_s: float
    peak_bytes: int  # of all its processes together, what they share counted once
    largest_bytes: int  # of its largest process


def cost_of(words: Sequence[str], environment: dict[str, str], log: Path, limit_s: float) -> Cost:
    """Run a command to its end. Raises SystemExit where it fails or takes longer than `limit_s`."""
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(words, env={**os.environ, **environment}, stdout=out, stderr=subprocess.STDOUT)
        tree = Tree(process.pid)
        tree.start()
        killer = threading.Timer(limit_s, process.kill)
        killer.start()
        _, status, used = os.wait4(process.pid, 0)
        killer.cancel()
        tree.stop()
    if status:
        raise SystemExit(
            f"{' '.join(words)} ended with {status}; see {log}:\n{log.read_text(errors='replace')[-2000:]}"
        )
    cpu_s = max(used.ru_utime + used.ru_stime, tree.cpu_s)  # who is not waited for is missing from the first
    return Cost(round(cpu_s, 2), round(time.monotonic() - began, 2), tree.peak_bytes, tree.largest_bytes)


class Tree(threading.Thread):
    """Watches a process and all below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._done = threading.Event()
        self._cpu: dict[int, float] = {}
        self.peak_bytes = self.largest_bytes = 0

    @property
    def cpu_s(self) -> float:
        return sum(self._cpu.values())

    def stop(self) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        while not self._done.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        sizes = [size for size in map(self._size, processes) if size]
        self.peak_bytes = max(self.peak_bytes, sum(sizes))
        self.largest_bytes = max([self.largest_bytes, *sizes])

    def _size(self, process: psutil.Process) -> int:
        try:
            times = process.cpu_times()
            self._cpu[process.pid] = times.user + times.system
            return process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return 0
