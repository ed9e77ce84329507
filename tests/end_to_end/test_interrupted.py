"""Ctrl-C: exit 130, one clear line, no process left, and the same command goes on."""

import contextlib
import os
import re
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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_when_nobody_reads_any_more(tmp_path, workers):
    """`pairmill run ... 2>&1 | head -1`"""
    run = tmp_path / "run"
    read, write = os.pipe()
    started = Started(demo_words(run, engine__workers=workers), say_to=write)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    assert started.wait_until(lambda: bool(list((run / "pages").glob("0000-*.parquet"))))
    started.signal(signal.SIGINT)
    assert started.wait(30).code == 130
    assert started.left_behind() == []


@pytest.mark.timeout(300)
def test_interrupted_when_the_reader_sleeps(tmp_path):
    """A pager: the pipe is full, and a write would wait for ever."""
    run = tmp_path / "run"
    read, write = os.pipe()
    started = Started(demo_words(run), say_to=write)
    assert started.wait_until(lambda: bool(list((run / "pages").glob("0000-*.parquet"))))
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b".")
    os.set_blocking(write, True)  # the flag is the pipe's, and the run would not wait either
    started.signal(signal.SIGINT)
    assert started.wait(30).code == 130
    assert started.left_behind() == []
    os.close(read)
    os.close(write)


@pytest.mark.timeout(300)
def test_a_run_goes_on_when_nobody_reads_and_keeps_its_log(finished, tmp_path):
    run = tmp_path / "run"
    read, write = os.pipe()
    os.close(read)
    started = Started(demo_words(run), say_to=write)
    os.close(write)
    assert started.wait(240).code == 0
    assert (run / "shards/main/manifest.json").read_bytes() == (finished / "shards/main/manifest.json").read_bytes()
    log = (run / "logs/run.log").read_text()
    for stage in ("collect", "fetch", "select", "pack"):
        assert re.search(rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ {stage}: done after ", log, re.MULTILINE)


def test_the_log_says_how_a_run_ended(tmp_path):
    run = tmp_path / "run"
    words = ["run", "site", "--run-dir", str(run), "--set", "collect.crawl.seeds=[http://nobody.test/]"]
    assert pairmill(*words, "--set", 'web.connect_to={"*:80": "127.0.0.1:9"}').code != 0
    assert "ended by " in (run / "logs/run.log").read_text().splitlines()[-1]
