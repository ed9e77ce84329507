"""Runs the console script as a user does: its own session, bounded in time, nothing of it left behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PAIRMILL = Path(sys.executable).with_name("pairmill")
MARK = "PAIRMILL_TEST_MARK"  # of every process that one command starts, whatever its session

RULES = (
    "[{rule: caption}, {rule: contact}, {rule: exact_duplicate}, {rule: near_duplicate}, {rule: caption_repetition}]"
)
# The smallest demo, without a model, in several tasks and parts: enough for a crash to lose some and keep some.
SMALL = {
    "demo.pages": "100",
    "score.model": "none",
    "select.rules": RULES,
    "fetch.rows_per_part": "25",
    "fetch.rows_per_task": "60",
    "pack.samples_per_shard": "40",
}


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float


def demo_words(run: Path, *more: str, **overrides: str) -> list[str]:
    """The words of a run of the small demo; `a__b="c"` becomes `--set a.b=c`."""
    settings = SMALL | {key.replace("__", "."): value for key, value in overrides.items()}
    return [
        "run",
        "demo",
        "--run-dir",
        str(run),
        *(w for k, v in settings.items() for w in ("--set", f"{k}={v}")),
        *more,
    ]


def pairmill(*words: str | Path, stdin: str | bytes = "", timeout_s: float = 240, **options) -> Outcome:
    """Run to the end."""
    return Started(words, stdin=stdin, **options).wait(timeout_s)


class Started:
    """A command at work. What it says goes to files: a killed group leaves no pipe open that somebody waits for."""

    def __init__(
        self,
        words: Sequence[str | Path],
        stdin: str | bytes = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        preexec: Callable[[], None] | None = None,
        say_to: int | None = None,  # a descriptor for standard output and error, in place of files
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._out, self._err = _anonymous_file(), _anonymous_file()
        text = stdin.encode() if isinstance(stdin, str) else stdin
        source = _anonymous_file(text)
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [str(PAIRMILL), *map(str, words)],
            stdin=source,
            stdout=self._out if say_to is None else say_to,
            stderr=self._err if say_to is None else say_to,
            cwd=cwd,
            env={**os.environ, **(env or {}), MARK: self._mark},
            start_new_session=True,
            preexec_fn=preexec,
        )
        os.close(source)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def wait(self, timeout_s: float = 240) -> Outcome:
        """The outcome. A command that does not end in time is killed, and fails the test."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait()
            raise AssertionError(f"still running after {timeout_s} s:\n{_text(self._err)[-2000:]}") from None
        outcome = Outcome(code, _text(self._out), _text(self._err), self.seconds)
        os.close(self._out)
        os.close(self._err)
        return outcome

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 120) -> bool:
        """Whether the condition came true while the command was running."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and self.running:
            if condition():
                return True
            time.sleep(0.02)
        return condition()

    def signal(self, number: int) -> None:
        """To every process of the command's group, as a terminal does."""
        os.killpg(self._process.pid, number)

    def kill_parent(self) -> None:
        """SIGKILL to the first process alone."""
        self._process.kill()

    def pids(self) -> list[int]:
        """The command's living processes, whatever their sessions."""
        return list(_living(self._mark))

    def left_behind(self, timeout_s: float = 5) -> list[str]:
        """The command's processes that live on, a moment after its end."""
        end = time.monotonic() + timeout_s
        while (found := _living(self._mark)) and time.monotonic() < end:
            time.sleep(0.05)
        return list(found.values())


def _anonymous_file(text: bytes = b"") -> int:
    descriptor = os.memfd_create("pairmill-test")
    os.write(descriptor, text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _text(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode(errors="replace")


def _living(mark: str) -> dict[int, str]:
    """pid → command line of the processes that carry `mark` in their environment; zombies have none."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = line.decode(errors="replace")
            except OSError:
                continue  # it ended while we looked, or is none of ours
    return found
