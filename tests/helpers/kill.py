"""Kills a run of the small demo at a chosen moment, starts it again, and reads from the server's log what was asked."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from helpers.command import Outcome, Started, demo_words, pairmill

Request = tuple[str, str]  # host, path with query


class Moment(NamedTuple):
    """When to kill."""

    text: str  # for the person who reads the figures
    wait: Callable[[Started, Path], object]


class Round(NamedTuple):
    """What one round showed."""

    killed_s: float  # after the start
    was_running: bool
    committed: int  # urls of parts that were committed before the kill
    asked_again: list[Request]  # of these, those that the server was asked for afterwards
    outcome: Outcome  # of the same command, after the kill


def after_parts(parts: int) -> Moment:
    """As soon as so many parts of `images/` are committed."""
    return Moment(
        f"after part {parts}", lambda started, run: started.wait_until(lambda: len(image_parts(run)) >= parts)
    )


def after_share(rng: random.Random, whole_s: float) -> Moment:
    """At a random moment of a run that takes about `whole_s`."""
    moment_s = rng.uniform(0.03, 0.97) * whole_s
    return Moment(
        f"after {moment_s:.2f} s", lambda started, run: started.wait_until(lambda: started.seconds >= moment_s)
    )


def while_fetching(rng: random.Random, fetch_s: float) -> Moment:
    """At a random moment of a fetch that takes about `fetch_s`."""
    moment_s = rng.uniform(0, 1) * fetch_s

    def wait(started: Started, run: Path) -> None:
        started.wait_until((run / "images/plan/0000.json").exists)
        begun_s = started.seconds
        started.wait_until(lambda: started.seconds >= begun_s + moment_s)

    return Moment(f"{moment_s:.2f} s into the fetch", wait)


def kill_and_resume(run: Path, moment: Moment, again: dict[str, str]) -> Round:
    """One round: `again` are settings of the second attempt that may differ, such as time-outs."""
    started = Started(demo_words(run))
    moment.wait(started, run)
    killed_s, was_running = started.seconds, started.running
    if was_running:
        started.signal(signal.SIGKILL)
    started.wait()
    assert started.left_behind() == []
    committed = set(committed_requests(run))
    already = len(log_lines(run))
    outcome = pairmill(*demo_words(run, **again))
    asked = [request_of(line) for line in log_lines(run)[already:]]
    return Round(killed_s, was_running, len(committed), [r for r in asked if r in committed], outcome)


def image_parts(run: Path) -> list[Path]:
    """The commits of `images/`."""
    return [p for p in sorted((run / "images").glob("[0-9]*.parquet")) if not p.name.endswith(".log.parquet")]


def committed_requests(run: Path) -> Iterator[Request]:
    """What a finished part of the crawl or of the fetch has asked for, if it asked."""
    for part in (*image_parts(run), *sorted((run / "pages").glob("[0-9]*.parquet"))):
        for url in pq.read_table(part, columns=["url"])["url"].to_pylist():
            parts = urlsplit(url)
            yield parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def log_lines(run: Path) -> list[str]:
    path = run / "demo-access.log"
    return path.read_text().splitlines() if path.exists() else []


def request_of(line: str) -> Request:
    _, host, target, _ = line.split(" ")
    return host, target
