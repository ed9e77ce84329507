"""Ctrl-C while a pipeline works: the process ends at once. What is committed stays, as after any crash."""

import contextlib
import os
import select
import signal
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
    """One line to standard error, if it is read."""
    last_words((SHOW_CURSOR if os.isatty(2) else "") + MESSAGE)


def last_words(text: str) -> None:
    """A few words of a process that ends, written past Python's buffers, which may be in use.

    Never waits and never fails: the pipe may be full, and its reader gone.
    """
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if any(event & select.POLLOUT for _, event in poll.poll(0)):  # a pipe has room for a line then
            os.write(2, text.encode())


def _end(number: int, frame: object) -> None:
    """Ending comes first: whatever raises here would be swallowed by the loop that was interrupted."""
    try:
        say_interrupted()
    finally:
        os._exit(INTERRUPTED)
