"""Ctrl-C while a pipeline works: the process ends at once. What is committed stays, as after any crash."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from pipeline.errors import INTERRUPTED

MESSAGE = "\npairmill: interrupted; the same command goes on where this one stopped\n"
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """While the block runs, SIGINT ends the process with exit code 130.

    Runners and event loops catch a KeyboardInterrupt, tell of it in tracebacks and wait for threads that do not end.
    Nothing needs them to: the next run starts from the commits, whether this one was interrupted or killed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def say_interrupted() -> None:
    """One line, written past Python's buffers: they may be in use."""
    text = (SHOW_CURSOR if sys.stderr.isatty() else "") + MESSAGE
    os.write(2, text.encode())


def _end(number: int, frame: object) -> None:
    say_interrupted()
    os._exit(INTERRUPTED)
