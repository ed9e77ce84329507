"""SIGKILL of the whole process group at any moment, then the same command: as if nothing had happened."""

import json
import os
import random
import shutil
import signal
from datetime import datetime
from pathlib import Path

import pytest
from helpers.command import Started, demo_words
from helpers.kill import (
    Moment,
    Round,
    after_parts,
    after_share,
    committed_requests,
    kill_and_resume,
    log_lines,
    request_of,
    while_fetching,
)

SEED = int(os.environ.get("PAIRMILL_KILL_SEED", random.SystemRandom().randrange(10**6)))
MORE_TIME = {"web__timeouts__total_s": "5"}


def whole_s(run: Path) -> float:
    """How long the undisturbed run worked, from its first stage to the end of its last one."""
    log = [json.loads((run / f"manifest/{label}.log.json").read_text()) for label in ("collect", "pack.main")]
    first, last = (datetime.fromisoformat(entry["started"]) for entry in log)
    return (last - first).total_seconds() + log[-1]["duration_s"]


def fetch_s(run: Path) -> float:
    return json.loads((run / "manifest/fetch.log.json").read_text())["duration_s"]


def check(found: Round, run: Path, finished: Path) -> None:
    assert found.outcome.code == 0, found.outcome.err
    assert found.asked_again == []
    for name in ("shards/main/manifest.json", "manifest/fetch.json", "manifest/pack.main.json"):
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name
    unnamed = {p.name for p in (run / "images").iterdir()} ^ {p.name for p in (finished / "images").iterdir()}
    assert unnamed == set()  # nothing of the dead attempt is left
    assert list(run.rglob(".tmp-*")) == []


def told(moment: Moment, found: Round) -> str:
    state = "killed" if found.was_running else "had ended"
    return (
        f"{moment.text}: {state} at {found.killed_s:.1f} s with {found.committed} urls committed, "
        f"{len(found.asked_again)} asked again; resumed in {found.outcome.seconds:.1f} s"
    )


def one_round(number: int, moment: Moment, finished: Path, tmp_path: Path) -> None:
    found = kill_and_resume(tmp_path / "run", moment, MORE_TIME if number % 2 else {})
    print(f"seed {SEED}, round {number}, {told(moment, found)}")
    check(found, tmp_path / "run", finished)


def test_the_log_shows_what_a_finished_part_asked_for(finished):
    """The comparison with the log can fail: most of what the parts hold is found in it."""
    asked = {request_of(line) for line in log_lines(finished)}
    committed = set(committed_requests(finished))
    assert len(committed & asked) > 200
    assert len(committed - asked) < 20  # what robots.txt forbids, and addresses that are never asked


@pytest.mark.timeout(300)
def test_killed_in_the_middle_of_fetching(finished, tmp_path):
    one_round(0, after_parts(random.Random(SEED).randint(2, 6)), finished, tmp_path)


@pytest.mark.timeout(300)
def test_killed_at_a_random_moment_and_resumed_with_another_timeout(finished, tmp_path):
    one_round(1, after_share(random.Random(SEED + 1), whole_s(finished) + 3), finished, tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("folder", ["selection/main", "shards/main"])
def test_killed_while_deciding_and_while_packing(call, finished, finished_copy, digest_of_folder, folder):
    """As soon as the stage has made its folder."""
    for label in ("select.main", "pack.main"):
        (finished_copy / f"manifest/{label}.json").unlink()
    shutil.rmtree(finished_copy / "selection")
    shutil.rmtree(finished_copy / "shards")
    started = Started(demo_words(finished_copy))
    assert started.wait_until((finished_copy / folder).exists)
    started.signal(signal.SIGKILL)
    started.wait()
    outcome = call(*demo_words(finished_copy))
    assert outcome.code == 0, outcome.err
    assert digest_of_folder(finished_copy / "shards") == digest_of_folder(finished / "shards")
    assert list(finished_copy.rglob(".tmp-*")) == []


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(10))
def test_killed_at_ten_random_moments(finished, tmp_path, number):
    one_round(number, after_share(random.Random(SEED + number), whole_s(finished) + 3), finished, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(20))
def test_killed_at_twenty_moments_of_a_fetch(finished, tmp_path, number):
    one_round(number, while_fetching(random.Random(SEED + 50 + number), fetch_s(finished)), finished, tmp_path)
