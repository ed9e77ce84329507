"""What libraries log: their errors go to standard error, and the story of their lives nowhere."""

import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from transforms.coordination.fatal import FatalError


class Errors(logging.Handler):
    """Errors to standard error, one after the other."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if not tells_of_fatal_error(text) and not is_logged_elsewhere(record):
            print(text, file=sys.stderr, flush=True)


def is_logged_elsewhere(record: logging.LogRecord) -> bool:
    """Whether Beam's client logs what ends a job: the run's last line says it."""
    return record.module == "portable_runner"


class ToWhoeverReads(io.TextIOBase):
    """A stream that goes on when its reader has gone: the work is worth more than the words about it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError:
            self._give_up()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """What the stream still holds goes nowhere: Python would fail on it when it ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


class TracebackFilter(ToWhoeverReads):
    """A stream for a worker's standard error: Beam prints the traceback of everything that ends it."""

    def write(self, text: str) -> int:
        return len(text) if tells_of_fatal_error(text) else super().write(text)


def tells_of_fatal_error(text: str) -> bool:
    """Whether a text is about what ends the run as a message of ours: nobody needs its traceback before."""
    return re.search(rf"\b({'|'.join(names_of(FatalError))}): ", text) is not None


def names_of(kind: type[Exception]) -> Iterator[str]:
    """The names of an exception and of all its subclasses: workers hand them on as text."""
    yield kind.__name__
    for subclass in kind.__subclasses__():
        yield from names_of(subclass)


def log_errors_only() -> None:
    """In this process, from now on."""
    root = logging.getLogger()
    if not any(isinstance(handler, Errors) for handler in root.handlers):
        root.addHandler(Errors())  # a root logger that has a handler gets no other one from libraries
    root.setLevel(logging.ERROR)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    # Worker processes write to our standard error themselves; this logger would say it all again.
    logging.getLogger("apache_beam.runners.portability.fn_api_runner.worker_handlers").setLevel(logging.CRITICAL)
    logging.getLogger("apache_beam.runners.portability.local_job_service").setLevel(logging.CRITICAL)
