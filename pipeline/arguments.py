"""Arguments that several commands share. Imports nothing heavy: `--help` must not wait for Beam or torch."""

import argparse
import re

from filters.reasons import Reason
from pipeline.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
STAGES = ("collect", "fetch", "score", "select", "pack")  # a test holds them against pipeline/stages/__init__.py


def add_config(parser: argparse.ArgumentParser) -> None:
    """A configuration and what replaces parts of it."""
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a shipped configuration")
    parser.add_argument("--run-dir", metavar="DIR", help="default: runs/<name of the configuration>")
    parser.add_argument("--engine", metavar="NAME", help="a profile of configs/engines, or a YAML file")
    add_set(parser, "fetch.image.size=256")


def add_set(parser: argparse.ArgumentParser, example: str) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"such as {example}")


def add_run(parser: argparse.ArgumentParser) -> None:
    """A run directory that must exist when the command runs: see `check_run`."""
    parser.add_argument("run", metavar="RUN", help="the folder that `pairmill run` wrote to")


def selection_name(text: str) -> str:
    """A name that is also a folder's."""
    if NAME.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no name: expected letters, digits, - and _, such as strict_2")


def slice_of(text: str) -> tuple[int, int]:
    """`I/N` as two numbers, 0 ≤ I < N."""
    index, _, count = text.partition("/")
    if index.isdigit() and count.isdigit() and int(index) < int(count):
        return int(index), int(count)
    raise argparse.ArgumentTypeError(f"{text!r} is no slice: expected I/N with I from 0 to N-1, such as 0/2")


def reasons(text: str) -> tuple[str, ...]:
    """Comma-separated reasons as rows of images/ have them."""
    found = tuple(sorted(set(text.split(","))))
    for reason in found:
        if reason not in set(Reason):
            raise argparse.ArgumentTypeError(
                f"{reason!r} is no reason; `pairmill report` shows a run's, such as timeout"
            )
    return found


def check_run(run: str) -> str:
    """`run`, where it is a run directory. Raises UsageError."""
    from transforms import storage

    try:
        found = storage.exists(storage.join(run, "run.yaml"))
    except storage.StorageError as error:
        raise UsageError(str(error)) from error
    if not found:
        raise UsageError(f"{run}: no run directory (no run.yaml in it); give the folder that `pairmill run` wrote to")
    return run
