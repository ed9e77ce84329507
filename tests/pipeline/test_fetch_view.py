"""What a fetch has come to so far, while it works and afterwards: counted here by other means."""

import asyncio
import contextlib
import io
import json
import re
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from helpers.opened import Opened
from helpers.raw_server import RawServer, http, settings_for
from helpers.samples import candidate
from rich.console import Console

from filters.reasons import Drop, Reason
from pipeline.ui import progress as progress_module
from pipeline.ui.fetch_view import FetchView, line_of
from pipeline.ui.progress import Progress
from transforms.coordination.lease import held
from transforms.fetch.plan import plan_rows, unplanned
from transforms.fetch.rows import fetched_row
from transforms.fetch.settings import FetchSettings
from transforms.fetch.transform import run_task
from transforms.formats.parquet import write_rows
from transforms.records import FetchLog, Image, PlanRow
from transforms.run_dir import fetch_plan
from transforms.web.client import no_answer


def parts(run):
    return [p for p in sorted((run / "images").glob("0000-*.parquet")) if ".log." not in p.name]


def test_it_counts_what_the_parts_hold(finished):
    view = FetchView(str(finished), 0)
    view.update()
    view.update()  # nothing is counted twice
    facts = view.facts()
    reasons = Counter(reason for p in parts(finished) for reason in pq.read_table(p)["reason"].to_pylist())
    logs = [row for p in (finished / "images").glob("*.log.parquet") for row in pq.read_table(p).to_pylist()]
    asked = [row for row in logs if row["started_s"]]
    seconds = max(r["started_s"] + r["duration_s"] for r in asked) - min(r["started_s"] for r in asked)
    assert (facts["rows"], facts["images"]) == (reasons.total(), reasons[""])
    assert facts["images_per_s"] == pytest.approx(reasons[""] / seconds, abs=0.01)
    assert facts["mb_per_s"] == pytest.approx(sum(r["bytes_received"] for r in asked) / seconds / 1e6, abs=0.001)
    best = Counter({reason: n for reason, n in reasons.items() if reason}).most_common(5)
    assert sorted(facts["top_reasons"].values()) == sorted(n for _, n in best)
    assert facts["slowest_hosts"] == sorted(facts["slowest_hosts"], key=lambda host: -host["seconds"])
    assert facts["slowest_hosts"][0]["host"] == "slow.demo.test"


def test_it_grows_with_the_parts(finished_copy):
    last = parts(finished_copy)[-1]
    away = last.with_suffix(".away")
    last.rename(away)
    view = FetchView(str(finished_copy), 0)
    view.update()
    before = view.facts()["rows"]
    away.rename(last)
    view.update()
    assert view.facts()["rows"] == before + pq.read_metadata(last).num_rows


@pytest.mark.parametrize("older", ['["stem"]', '{"parts": 3}', "[[", ""])
def test_sums_of_another_version_are_made_anew(finished_copy, older):
    sums = finished_copy / "images/sums/0000.json"
    expected = FetchView(str(finished_copy), 0)
    expected.update()
    sums.write_text(older)
    view = FetchView(str(finished_copy), 0)
    view.update()
    assert view.facts() == expected.facts()


def test_kept_sums_are_those_of_the_parts_and_go_on(finished_copy, monkeypatch):
    """Half of the parts are counted by one process, the rest by a second, which reads none of the first half."""
    kept = finished_copy / "images/sums/0000.json"
    kept.unlink()
    away = {path: path.with_suffix(".away") for path in parts(finished_copy)[3:]}
    for path, elsewhere in away.items():
        path.rename(elsewhere)
    first = FetchView(str(finished_copy), 0, keeps=True)
    first.update()
    assert not kept.exists()  # a few parts are read at a glance
    first.keep()
    for path, elsewhere in away.items():
        elsewhere.rename(path)
    opened = Opened(monkeypatch)
    second = FetchView(str(finished_copy), 0)
    second.update()
    assert sum(name.endswith(".parquet") for name in opened.files) == 2 * len(away)
    kept.unlink()
    whole = FetchView(str(finished_copy), 0)
    whole.update()
    assert second.facts() == whole.facts()


def test_before_the_first_part_and_without_a_request(tmp_path):
    view = FetchView(str(tmp_path), 0)
    view.update()
    assert view.line() == ""
    (tmp_path / "images").mkdir()
    write_rows(str(tmp_path / "images/0000-00000-00000.parquet"), Image, [])
    write_rows(str(tmp_path / "images/0000-00000-00000.log.parquet"), FetchLog, [FetchLog(b"1", "", "", 0.0, 0.0, 0)])
    view.update()
    assert view.facts()["images_per_s"] == 0


def test_a_person_reads_it_in_the_status(call, finished):
    facts = json.loads(call("status", finished, "--json").out)["stages"][1]["outcome"]
    assert f"fetch: {line_of(facts)}" in call("status", finished).out
    assert "images/s" in line_of(facts)


def test_requests_under_way_are_seen_before_the_first_part(tmp_path):
    view = FetchView(str(tmp_path), 0)
    with held(str(tmp_path), "fetch-0000-00000", 0.5) as lease:
        lease.busy = lambda: 256
        time.sleep(0.3)  # a heartbeat
        view.update()
    assert view.line() == "256 in flight"
    view.update()
    assert (view.facts()["in_flight"], view.line()) == (0, "")


def test_a_host_that_is_fast_is_not_called_slow(finished):
    view = FetchView(str(finished), 0)
    view.update()
    facts = view.facts()
    assert ", slowest slow.demo.test " in line_of(facts)
    assert "slowest" not in line_of(facts | {"slowest_hosts": [{"host": "fast.example", "seconds": 0.04}]})


class Talkative:
    """A view with much to say."""

    def update(self) -> None: ...

    def line(self) -> str:
        return "102 images, " * 20

    def warning(self) -> str:
        return "this machine is too busy"


def test_a_machine_that_is_too_busy_is_said_with_the_remedy(tmp_path):
    names = [f"0000-00000-0000{n}" for n in range(2)]
    for name, late_s in zip(names, [0.0, 3.0], strict=True):
        write_rows(str(tmp_path / f"images/{name}.parquet"), Image, [])
        log = FetchLog(b"1", "h", "127.0.0.1", 1_000.0, 4.0, 10, late_s)
        write_rows(str(tmp_path / f"images/{name}.log.parquet"), FetchLog, [log])
    view = FetchView(str(tmp_path), 0)
    view.update()
    assert (view.facts()["loop_late_s"], view.facts()["loop_late_share"]) == (3.0, 0.375)
    assert "in 38% of their requests' time" in view.warning()
    assert "engine.workers" in view.warning()
    quiet = FetchView(str(tmp_path), 1)
    quiet.update()
    assert (quiet.facts()["loop_late_share"], quiet.warning()) == (0.0, "")


def test_what_it_says_leaves_room_for_the_counts():
    screen = io.StringIO()
    progress = Progress(Console(file=screen, force_terminal=True, width=80))
    progress.stage("fetch", 12_345, "parts", lambda: 1_234, Talkative())
    time.sleep(0.7)
    progress.end()
    assert "1234/12345 parts" in screen.getvalue().replace("\x1b[32m", "").replace("\x1b[0m", "")
    assert "102 images" in screen.getvalue()


def test_rows_are_counted_while_their_part_is_under_way(tmp_path):
    """The server keeps the last answer of a part back until the view knows of all the others."""
    rows, run, seen = 8, str(tmp_path), []
    plan = plan_rows([unplanned(candidate(f"http://h{n}.test/{n}.jpg")) for n in range(rows)], rows)
    write_rows(fetch_plan(run, 0, 0), PlanRow, plan)
    view = FetchView(run, 0)

    async def last(request, writer):
        while view.rows_done() < rows - 1:
            await asyncio.sleep(0.02)
            view.update()
        seen.append((view.rows_done(), view.facts()["rows"]))
        writer.write(http(404))

    async def go():
        async with RawServer({f"/{rows - 1}.jpg": last}) as server:
            web = settings_for(server, lease_s=2.0, timeouts={"read_s": 60.0, "total_s": 60.0})
            await asyncio.to_thread(run_task, 0, run, 0, FetchSettings(decoders=1), web)

    asyncio.run(go())
    view.update()
    assert seen == [(rows - 1, 0)]  # no part was committed by then
    assert (view.rows_done(), view.facts()["rows"]) == (rows, rows)


def test_no_row_is_counted_twice(tmp_path):
    """Between a commit and the next heartbeat a row is in both; of another round none is counted."""
    for stem in ("0000-00000-00000", "0000-00001-00000", "0000-00001-00001"):
        rows = [fetched(f"http://h.example/{stem}/{n}") for n in range(5)]
        write_rows(str(tmp_path / f"images/{stem}.parquet"), Image, rows)
        write_rows(str(tmp_path / f"images/{stem}.log.parquet"), FetchLog, [])
    view = FetchView(str(tmp_path), 0)
    names = ("fetch-0000-00000", "fetch-0000-00001", "fetch-0000-00002", "fetch-0001-00000")
    with held(str(tmp_path), names[0], 0.5) as a, held(str(tmp_path), names[1], 0.5) as b, \
            held(str(tmp_path), names[2], 0.5) as c, held(str(tmp_path), names[3], 0.5) as d:  # fmt: skip
        for lease, done in zip((a, b, c, d), (7, 3, 1, 100), strict=True):  # b has not come to its second part yet
            lease.done = lambda done=done: done
        while not all(claims_of(tmp_path, name) for name in names):
            time.sleep(0.02)
        view.update()
    assert view.rows_done() == 7 + 10 + 1
    view.update()
    assert view.rows_done() == 15  # whoever was at work is gone, and so are the rows that they did not commit


def fetched(url) -> Image:
    return fetched_row(candidate(url), no_answer(url), Drop(Reason.LOCAL_RESOLVER)).image


def claims_of(run, name) -> int:
    """What the newest claim of a lease says is done."""
    found = []
    for path in (run / "leases" / name).glob("*.json"):
        with contextlib.suppress(OSError, ValueError):  # replaced at this moment
            found.append(json.loads(path.read_text())["done"])
    return max(found, default=0)


class Steps:
    """What is done by the 1st, 2nd, ... look; `over` when all were told."""

    def __init__(self, *done):
        self._left = list(done)
        self.over = threading.Event()

    def __call__(self):
        if len(self._left) == 1:
            self.over.set()
        return self._left[0] if len(self._left) == 1 else self._left.pop(0)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_rate_begins_with_the_first_answers_and_not_with_an_earlier_run(terminal, monkeypatch):
    """900 were there before; nothing is said of a rate until the 901st."""
    monkeypatch.setattr(progress_module, "POLL_S", 0.15)
    monkeypatch.setattr(progress_module, "PLAIN_EVERY_S", 0.15)
    screen, steps = io.StringIO(), Steps(900, 900, 950, 950)
    progress = Progress(Console(file=screen, force_terminal=terminal, width=90))
    progress.stage("fetch", 1_000, "rows", steps)
    steps.over.wait(30)
    progress.end()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    before, _, after = re.sub(r"(\d),(\d)", r"\1\2", text).replace("/1000", " of 1000").partition("950 of 1000 rows")
    assert terminal or "900 of 1000 rows" in before
    assert "/s" not in before
    rates = [float(rate) for rate in re.findall(r"([\d.]+)/s, 0:00:\d\d left", after)]
    assert rates
    assert max(rates) <= 50 / 0.15  # of the 50 that are new


def test_a_store_is_looked_at_less_often(monkeypatch):
    """Each look at an object store costs requests."""
    paces = []
    monkeypatch.setattr(progress_module, "_Watch", lambda *words: paces.append(words[-1]))
    progress = Progress()
    for published in ("", "memory://run/logs/run.log"):
        progress._published, progress._watch = published, None
        progress.stage("fetch", 1, "rows", lambda: 0)
    progress._watch = None
    assert paces == [progress_module.POLL_S, progress_module.REMOTE_POLL_S]


def test_between_two_counts_the_rate_stands_still(monkeypatch):
    """100 in the first ten seconds, then none: only the time goes on, until it is silent for too long."""
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress_module.threading, "Thread", lambda **words: SimpleNamespace(start=lambda: None))
    done = [50]
    watch = progress_module._Watch(
        Progress(Console(file=io.StringIO())), "fetch", 250, "rows", lambda: done[0], None, 1
    )
    said = []
    for at_s, count in ((0.0, 50), (10.0, 150), (14.0, 150), (30.0, 150)):
        now[0], done[0] = at_s, count
        said.append(watch._rate(watch._look()))
    assert said == ["", "10.0/s, 0:00:10 left", "10.0/s, 0:00:06 left", "3.3/s, 0:00:30 left"]


def test_a_line_is_not_broken_where_nobody_sees_it():
    """In a file, a line is a line."""
    out = io.StringIO()
    progress = Progress(Console(file=out, width=80))
    progress.stage("fetch", 1, "rows", lambda: 1, Talkative())
    progress.end()
    assert [line for line in out.getvalue().splitlines() if "102 images" in line and line.startswith("fetch: done")]
    assert len(out.getvalue().splitlines()) == 3  # begun, done, the warning
