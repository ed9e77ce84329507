"""Ctrl-C: exit 130, one clear line, no process left, and the same command goes on."""

import signal

import pytest
from helpers.command import Started, demo_words, pairmill
from helpers.kill import image_parts


def interrupt(started: Started) -> tuple[int, str]:
    """What a terminal does: SIGINT to every process of the group. Returns exit code and standard error."""
    started.signal(signal.SIGINT)
    outcome = started.wait(30)
    assert started.left_behind() == []
    return outcome.code, outcome.err


def check_said(err: str) -> None:
    assert "Traceback" not in err
    assert "pairmill: interrupted; the same command goes on where this one stopped" in err.splitlines()[-1]


@pytest.mark.timeout(300)
def test_interrupted_while_fetching_and_gone_on(finished, tmp_path):
    run = tmp_path / "run"
    started = Started(demo_words(run))
    assert started.wait_until(lambda: len(image_parts(run)) >= 2)
    code, err = interrupt(started)
    check_said(err)
    assert code == 130
    done = {path.name: path.stat().st_ino for path in image_parts(run)}
    outcome = pairmill(*demo_words(run))
    assert outcome.code == 0, outcome.err
    assert {path.name: path.stat().st_ino for path in image_parts(run) if path.name in done} == done
    assert (run / "shards/main/manifest.json").read_bytes() == (finished / "shards/main/manifest.json").read_bytes()


@pytest.mark.timeout(300)
def test_interrupted_with_worker_processes(tmp_path):
    run = tmp_path / "run"
    started = Started(demo_words(run, engine__workers="2"))
    assert started.wait_until(lambda: bool(list((run / "pages").glob("0000-*.parquet"))))
    code, err = interrupt(started)
    check_said(err)
    assert code == 130


@pytest.mark.timeout(120)
def test_workers_and_server_end_with_a_parent_that_is_killed_alone(tmp_path):
    run = tmp_path / "run"
    started = Started(demo_words(run, engine__workers="2"))
    assert started.wait_until(lambda: bool(list((run / "pages").glob("0000-*.parquet"))))
    started.kill_parent()
    started.wait(30)
    assert started.left_behind(10) == []


@pytest.mark.timeout(120)
def test_interrupted_before_the_first_line_is_out(tmp_path):
    """While modules are still being imported."""
    run = tmp_path / "run"
    started = Started(demo_words(run))
    started.wait_until(lambda: started.seconds > 0.8)
    code, err = interrupt(started)
    check_said(err)
    assert code == 130
