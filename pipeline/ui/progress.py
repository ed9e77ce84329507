"""What a person sees while a run works: stage, parts, rate, time left. Plain lines where there is no terminal."""

import contextlib
import io
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from transforms import storage
from transforms.coordination.fatal import FatalError
from transforms.run_dir import LOGS

PLAIN_EVERY_S = 10.0
POLL_S = 0.5
SILENT_S = 10.0  # without a new count: then the rate falls; heartbeats come every few seconds
REMOTE_POLL_S = 5.0  # of an object store, where each look costs requests


class View(Protocol):
    """Says in a line what a stage has come to, and at its end what went wrong on our side."""

    def update(self) -> None: ...

    def line(self) -> str: ...

    def warning(self) -> str: ...


class Progress:
    """Watches the files that a stage writes; they are the only counts that are true on every engine.

    What it says goes to standard error and, once `keep_log` was called, into the run directory too.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._watch: _Watch | None = None
        self._log: TextIO | None = None
        self._published = ""  # where an object store receives the log at the end

    def keep_log(self, run: str) -> None:
        """Append every line to RUN/logs/run.log from now on; on an object store, whose objects cannot grow, at the
        end. Raises StorageError."""
        if self._log is not None:
            return
        path = storage.join(run, LOGS, "run.log")
        if storage.is_remote(run):
            self._published, self._log = path, io.StringIO()
            if storage.exists(path):
                self._log.write(storage.read_text(path))
            return
        storage.make_folder(storage.join(run, LOGS))
        try:
            self._log = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise storage.StorageError(f"cannot write {path}: {error.strerror}; choose another --run-dir") from error

    def stage(
        self, name: str, total: int, unit: str, done: Callable[[], int] | None = None, view: "View | None" = None
    ) -> None:
        """A stage, or a step of one, begins: `total` `unit`s, of which `done()` counts those that are there.

        `view` has more to say of them, and is up to date whenever `done` is called.
        """
        self.end()
        self._watch = _Watch(self, name, total, unit, done, view, REMOTE_POLL_S if self._published else POLL_S)

    def say(self, line: str) -> None:
        self.note(line)
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def note(self, line: str) -> None:
        """Into the log alone. A full disk ends the run where it matters, not here."""
        with contextlib.suppress(OSError, ValueError):
            if self._log is not None:
                self._log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")

    def end(self, how: str = "done") -> None:
        if self._watch is not None:
            self._watch.stop(how)
            self._watch = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end("done" if error is None else "stopped")
        if error is not None:
            self.note(f"ended by {type(error).__name__}: {error}")
        if isinstance(self._log, io.StringIO):
            with contextlib.suppress(FatalError):  # a store that fails ends the run where it matters
                storage.publish(self._published, self._log.getvalue().encode())
        if self._log is not None:
            self._log.close()
            self._log = None


class _Watch:
    """One bar, or one plain line now and then, fed by a thread that ends with the stage."""

    def __init__(
        self,
        progress: Progress,
        name: str,
        total: int,
        unit: str,
        done: Callable[[], int] | None,
        view: View | None,
        poll_s: float,
    ) -> None:
        self._progress, self._console = progress, progress.console
        self._name, self._total, self._unit = name, total, unit
        self._done, self._view, self._poll_s = done, view, poll_s
        self._done_before: int | None = None  # when the stage began: an earlier run's work says nothing of the rate
        self._seen = 0  # when last looked
        self._began = self._grown = time.monotonic()
        self._over = threading.Event()
        self._say(f"{name}: {total:,} {unit}")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self, how: str) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        self._say(f"{self._name}: {how} after {time.monotonic() - self._began:.1f} s{self._more(': ')}")
        if self._view is not None and (warning := self._view.warning()):
            self._say(f"{self._name}: {warning}")

    def _say(self, line: str) -> None:
        self._progress.say(line)

    def _run(self) -> None:
        self._look()
        if self._console.is_terminal and self._done is not None:
            self._draw()
        else:
            self._tell()

    def _draw(self) -> None:
        """What the view says has a line of its own: beside the bar it would leave no room for the counts."""
        bar = Bar(TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn(self._unit),
                  TimeElapsedColumn(), TextColumn("{task.fields[rate]}"))  # fmt: skip
        task = bar.add_task(self._name, total=self._total, rate="")
        more = Text(no_wrap=True, overflow="ellipsis")
        with Live(Group(bar, more), console=self._console, transient=True):
            while not self._over.wait(self._poll_s):
                done = self._look()
                bar.update(task, completed=done, rate=self._rate(done))
                more.plain = self._more()

    def _tell(self) -> None:
        while not self._over.wait(PLAIN_EVERY_S):
            self._say(self._line())

    def _line(self) -> str:
        done = self._look()
        if self._done is None:
            return f"{self._name}: {time.monotonic() - self._began:.0f} s"
        rate = f", {words}" if (words := self._rate(done)) else ""
        return f"{self._name}: {done:,} of {self._total:,} {self._unit}{rate}{self._more('; ')}"

    def _rate(self, done: int) -> str:
        """How many a second since the stage began, and the time that is left; "" before the first. Counts come now and
        then: between two of them the rate stands still, and only the time goes on."""
        new = done - (self._done_before or 0)
        if new <= 0:
            return ""
        now = time.monotonic()
        until = self._grown if now - self._grown < SILENT_S else now
        seconds = until - self._began
        left_s = max(0, round(seconds / new * (self._total - done) - (now - until)))
        return f"{new / seconds:.{1 if new > seconds else 2}f}/s, {timedelta(seconds=left_s)} left"

    def _look(self) -> int:
        """How many are done by now; a file that cannot be read at this moment is no reason to stop."""
        with contextlib.suppress(FatalError):
            if self._view is not None:
                self._view.update()
            done = min(self._done(), self._total) if self._done is not None else 0
            self._done_before = done if self._done_before is None else self._done_before
            if done != self._seen:
                self._seen, self._grown = done, time.monotonic()
        return self._seen

    def _more(self, before: str = "") -> str:
        """What the view says."""
        line = self._view.line() if self._view is not None else ""
        return before + line if line else ""
