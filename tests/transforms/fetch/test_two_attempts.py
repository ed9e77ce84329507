"""Two attempts at one task, as an engine makes them that takes a worker for dead: one asks, the other one waits."""

import http.server
import io
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.samples import candidate
from PIL import Image as Picture

from transforms.fetch.plan import plan_rows, unplanned
from transforms.fetch.settings import FetchSettings
from transforms.fetch.transform import run_task
from transforms.formats import parquet
from transforms.records import Image, PlanRow
from transforms.run_dir import stem_of
from transforms.web.parts import TaskResult
from transforms.web.settings import WebSettings

FETCH = FetchSettings(rows_per_part=4, parts_at_once=1)  # so that the parts of an attempt come one after the other
PICTURES, PARTS = 12, 3
LEASE_S = 2.0
ANSWER_S = 0.1
ATTEMPT = """
import sys
from transforms.coordination import lease
from transforms.fetch.settings import FetchSettings
from transforms.fetch.transform import run_task
from transforms.web.settings import WebSettings
lease.this_machine = lambda: "another machine"
result = run_task(0, sys.argv[1], 0, FetchSettings.model_validate_json(sys.argv[2]),
                  WebSettings.model_validate_json(sys.argv[3]))
print(result, flush=True)
"""


@pytest.fixture
def run(tmp_path) -> Path:
    """A run directory with one task to fetch."""
    urls = [f"http://h.example/{number}.jpg" for number in range(PICTURES)]
    rows = plan_rows([unplanned(candidate(url)) for url in urls], FETCH.rows_per_part)
    parquet.write_rows(str(tmp_path / "images/plan" / f"{stem_of(0, 0)}.parquet"), PlanRow, rows)
    return tmp_path


@contextmanager
def serving() -> Iterator[tuple[WebSettings, list[str]]]:
    """A site behind every host that takes its time; what it was asked for, in order."""
    asked: list[str] = []
    out = io.BytesIO()
    Picture.linear_gradient("L").convert("RGB").save(out, "JPEG")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(ANSWER_S)
            found = self.path.endswith(".jpg")
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(out.getvalue()) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(out.getvalue())

        def log_message(self, *_: object) -> None:
            """Silent: what was asked stands in `asked`."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    pace = [{"pattern": "*", "at_once": 1, "gap_s": 0.0}]
    try:
        yield WebSettings(connect_to={"*:80": f"127.0.0.1:{server.server_port}"}, hosts=pace, lease_s=LEASE_S), asked
    finally:
        server.shutdown()
        server.server_close()


def pictures(asked: list[str]) -> Counter[str]:
    return Counter(path for path in asked if path.endswith(".jpg"))


def owners(run: Path) -> set[str]:
    return {claim.name.partition(".")[0] for claim in (run / "leases").rglob("*.json")}


def check_images(run: Path) -> None:
    """Every part is committed, with its own tar; the stage's last sweep is not done here, so a lost tar would show."""
    commits = [p for p in sorted((run / "images").glob("*.parquet")) if not p.name.endswith(".log.parquet")]
    assert [p.name for p in commits] == [f"{stem_of(0, 0, part)}.parquet" for part in range(PARTS)]
    rows = [row for path in commits for row in parquet.read_rows(str(path), Image)]
    assert len({row.url for row in rows if row.status == "success"}) == PICTURES
    assert {p.name for p in (run / "images").glob("*.tar")} == {row.tar for row in rows}


def test_two_at_once_ask_for_each_picture_once(run):
    with serving() as (web, asked), ThreadPoolExecutor(2) as pool:
        attempts = [pool.submit(run_task, 0, str(run), 0, FETCH, web) for _ in range(2)]
        results = sorted(attempt.result() for attempt in attempts)
    assert results == [TaskResult(PARTS, 0), TaskResult(PARTS, PARTS)]
    assert set(pictures(asked).values()) == {1}
    check_images(run)
    assert not list((run / "leases").rglob("*.json"))


@contextmanager
def stopped_attempt(run: Path, web: WebSettings) -> Iterator[subprocess.Popen]:
    """A process on "another machine" that was stopped (SIGSTOP) after its first part."""
    words = [sys.executable, "-c", ATTEMPT, str(run), FETCH.model_dump_json(), web.model_dump_json()]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        first = run / "images" / f"{stem_of(0, 0, 0)}.parquet"
        end = time.monotonic() + 60
        while not first.exists() and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        assert first.exists()
        yield process
    finally:
        process.kill()
        process.wait()


def test_one_that_was_stopped_asks_nothing_after_another_has_gone_on(run):
    with serving() as (web, asked), stopped_attempt(run, web) as process:
        before = list(asked)
        began = time.monotonic()
        result = run_task(0, str(run), 0, FETCH, web)
        assert time.monotonic() - began > LEASE_S * 0.9
        assert result.parts_done_before >= 1
        done = list(asked)
        process.send_signal(signal.SIGCONT)
        last_words = process.communicate(timeout=30)[0]  # what it had not begun, it finds done
        assert last_words in [f"{TaskResult(PARTS, done)}\n" for done in (PARTS - 1, PARTS)]
        assert asked == done  # not one request more
        twice = [path for path, count in pictures(asked).items() if count > 1]
        assert len(pictures(before)) < PICTURES
        assert len(twice) <= FETCH.rows_per_part  # those of the part that was under way
    check_images(run)


def test_one_whose_claim_is_gone_begins_again_with_a_new_one(run):
    """Somebody deleted it: whoever comes next may be at work."""
    with serving() as (web, asked), ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(run_task, 0, str(run), 0, FETCH, web)
        while len(pictures(asked)) < 2:
            time.sleep(0.01)
        first = owners(run)
        assert len(first) == 1
        while owners(run) <= first and not attempt.done():
            for claim in (run / "leases").rglob(f"{min(first)}.*.json"):
                claim.unlink(missing_ok=True)
            time.sleep(0.01)
        assert attempt.result(timeout=30).parts == PARTS
        assert (
            asked.count("/robots.txt") == 2
        )  # of the host and of its pages' host: the second claim knows what it said
        twice = [path for path, count in pictures(asked).items() if count > 1]
        assert len(twice) <= FETCH.rows_per_part
    check_images(run)
