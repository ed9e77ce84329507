"""What a fetch has come to so far, while it works and afterwards: counted here by other means."""

import io
import json
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest
from helpers.opened import Opened
from rich.console import Console

from pipeline.ui.fetch_view import FetchView, line_of
from pipeline.ui.progress import Progress
from transforms.coordination.lease import held
from transforms.formats.parquet import write_rows
from transforms.records import FetchLog, Image


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
