"""Errors that workers on other machines log: they write them into the run directory, the driver shows them."""

import logging
import os
import socket
import threading
from collections.abc import Callable

from pipeline.logs import tells_of_fatal_error
from transforms import storage
from transforms.run_dir import LOGS

FOLLOW_S = 2.0


class RunLog(logging.Handler):
    """Errors of this process, in one object of the run directory; written whole at each one, for they are few."""

    def __init__(self, run: str) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self._path = storage.join(run, LOGS, f"worker-{socket.gethostname()}-{os.getpid()}.log")
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if tells_of_fatal_error(text) or is_parting(text):
            return  # the one ends the run as a message of its own, the other is the end of the runner's side
        self._lines += text.splitlines()
        try:
            storage.publish(self._path, "".join(f"{line}\n" for line in self._lines).encode())
        except storage.StorageError:
            self.handleError(record)  # what is logged must not end the work


def is_parting(text: str) -> bool:
    """Whether a worker only says that its runner went away."""
    return "StatusCode.UNAVAILABLE" in text or "StatusCode.CANCELLED" in text


def tell_the_run(run: str) -> None:
    """In this process, from now on. Raises StorageError where the run directory cannot be written."""
    storage.publish(storage.join(run, LOGS, f".{socket.gethostname()}"), b"")
    logging.getLogger().addHandler(RunLog(run))


class Follower:
    """Shows what workers log while the block runs: `with Follower(run, say):`."""

    def __init__(self, run: str, say: Callable[[str], None]) -> None:
        self._folder = storage.join(run, LOGS)
        self._say = say
        self._shown = {name: self._count(name) for name in self._names()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._show()

    def _follow(self) -> None:
        while not self._over.wait(FOLLOW_S):
            self._show()

    def _names(self) -> list[str]:
        return storage.list_names(self._folder, "worker-*.log")

    def _read(self, name: str) -> list[str]:
        return storage.read_bytes(storage.join(self._folder, name)).decode().splitlines()

    def _count(self, name: str) -> int:
        return len(self._read(name))

    def _show(self) -> None:
        for name in self._names():
            lines = self._read(name)
            for line in lines[self._shown.get(name, 0) :]:
                self._say(f"{name.removesuffix('.log')}: {line}")
            self._shown[name] = len(lines)
