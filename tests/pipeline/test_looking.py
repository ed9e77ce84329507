"""`plan` and `status`: they tell what is so, and change nothing."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.command import demo_words
from helpers.opened import Opened
from helpers.samples import image

from filters.url import host_of
from pipeline import config
from pipeline.commands.plan import duration, size
from pipeline.commands.status import status_of
from pipeline.estimate import ANSWER_S, IMAGES_PER_S, MEAN_IMAGE_BYTES, count_hosts, slowest_hosts
from pipeline.stages.fetch import count_reasons
from pipeline.ui.fetch_view import GLANCE_PARTS
from transforms.formats.parquet import write_rows
from transforms.records import FetchLog, Image
from transforms.run_dir import part_stems


def names(folder) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def plan_words(run, *more, **overrides) -> list[str]:
    return ["plan", *demo_words(run, **overrides)[1:], *more]


# plan


def test_a_plan_of_nothing_writes_nothing(call, tmp_path):
    outcome = call(*plan_words(tmp_path / "run", "--json"))
    assert outcome.code == 0, outcome.err
    plan = json.loads(outcome.out)
    assert set(plan["stages"].values()) == {"to do"}
    assert list(plan["stages"]) == ["collect", "fetch", "score", "select", "pack"]
    assert plan["candidates"] is None
    assert plan["settings"]["fetch"]["rows_per_part"] == 25
    assert plan["settings"]["collect"]["crawl"]["max_depth"] == 30  # of the configuration, not only what was set
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_finished_run_counts(call, finished):
    before = names(finished)
    plan = json.loads(call(*plan_words(finished, "--json")).out)
    assert set(plan["stages"].values()) == {"done"}
    assert plan["candidates"] == 160
    assert plan["disk_bytes"]["256 px"] == 160 * 25_000
    assert sum(row["images"] for row in plan["slowest_hosts"]) == 160
    assert names(finished) == before


def test_a_plan_for_people_fits_a_screen(call, finished):
    outcome = call(*plan_words(finished))
    for word in ("run directory", "candidates     160", "a generated web of about 100 pages", "requests", "at least",
                 "9.44 MB"):  # fmt: skip
        assert word in outcome.out
    assert len(outcome.out.splitlines()) <= 40
    assert "rows_per_part" not in outcome.out
    assert "rows_per_part: 25" in call(*plan_words(finished, "--settings")).out


def test_a_plan_of_a_table_counts_its_rows(call, tmp_path):
    (tmp_path / "t.csv").write_text("url,caption\n" + "http://site.example/a.jpg,a red kite\n" * 7)
    words = ("plan", "urls", "--run-dir", "run", "--set", "collect.tables.paths=[t.csv]", "--json")
    plan = json.loads(call(*words).out)
    assert plan["sources"] == {"table_files": 1, "table_rows": 7}
    assert plan["disk_bytes"]["512 px"] == 7 * 70_000
    assert names(tmp_path) == ["t.csv"]


def test_a_plan_of_seeds_names_them(call, tmp_path):
    words = ("plan", "site", "--run-dir", "run", "--set", "collect.crawl.seeds=[http://site.example]", "--json")
    plan = json.loads(call(*words).out)
    assert plan["sources"] == {"seeds": ["http://site.example/"], "max_pages": 10_000, "pages_seconds": 10_000.0}
    assert plan["contact_missing_for"] == "site.example"
    assert "at most about 2.8 h" in call(*words[:-1]).out


@pytest.mark.parametrize(("setting", "says"), [
    ("collect.tables.paths=[no.csv]", "no.csv matches no file"),
    ("fetch.image.sise=1", "unknown key"),
])  # fmt: skip
def test_a_plan_refuses_what_a_run_refuses(call, tmp_path, setting, says):
    outcome = call("plan", "urls", "--run-dir", "run", "--set", setting)
    assert outcome.code == 2
    assert says in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_broken_table_is_a_message(call, tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"no table")
    outcome = call("plan", "urls", "--run-dir", "run", "--set", "collect.tables.paths=[t.parquet]")
    assert outcome.code == 2
    assert "t.parquet" in outcome.err


def table_plan(call, folder, urls, *more):
    """The plan of a table of `urls`, for programs and for people."""
    (folder / "t.csv").write_text("url,caption\n" + "".join(f"{url},a red kite\n" for url in urls))
    words = ("plan", "urls", "--run-dir", "run", "--set", "collect.tables.paths=[t.csv]", *more)
    return json.loads(call(*words, "--json").out), call(*words).out


def test_a_plan_says_what_will_be_asked_and_how_long_it_takes(call, tmp_path):
    hosts = {"big.example": 3_000, "small.example": 20, "other.example": 1}
    urls = [f"http://{host}/{n}.jpg" for host, images in hosts.items() for n in range(images)]
    plan, text = table_plan(call, tmp_path, [*urls, "", "no url"])
    assert (plan["urls"], plan["urls_counted"], plan["hosts"], plan["has_more_hosts"]) == (3_021, 3_021, 3, False)
    assert plan["requests"] == 3_021 + 2 * 3
    assert plan["transferred_bytes"] == 3_021 * MEAN_IMAGE_BYTES
    assert [(row["host"], row["images"]) for row in plan["slowest_hosts"]] == list(hosts.items())
    assert plan["seconds"] == plan["slowest_hosts"][0]["seconds"] == 300.0  # ten a second
    for words in ("178 MB", "at least 5.0 min: the 3,000 images of big.example", "contact        missing: big.example"):
        assert words in text
    assert plan["contact_missing_for"] == "big.example"


def test_a_plan_of_many_hosts_takes_as_long_as_all_requests(call, tmp_path):
    urls = [f"http://host{n}.example/a.jpg" for n in range(2_000)]
    sets = ("--set", "web.contact=me@site.example", "--set", "web.robots.obey=false", "--set", "engine.workers=1")
    plan, text = table_plan(call, tmp_path, urls, *sets)
    assert plan["requests"] == 2_000 * 2  # tdmrep.json is asked for all the same
    assert plan["seconds"] == pytest.approx(4_000 / IMAGES_PER_S, abs=0.1)
    assert plan["contact_missing_for"] == ""
    assert "contact" not in text


def test_a_plan_counts_the_hosts_of_the_first_rows(call, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.estimate.TABLE_URLS", 100)
    urls = [f"http://host{n % 50}.example/{n}.jpg" for n in range(1_000)]
    plan, text = table_plan(call, tmp_path, urls)
    assert (plan["urls"], plan["urls_counted"], plan["hosts"], plan["has_more_hosts"]) == (1_000, 100, 50, True)
    assert plan["slowest_hosts"][0]["images"] == 20  # of all rows, as those that were counted
    assert "hosts counted in the first 100 rows" in text
    assert "more than 50" in text


def test_rows_without_a_host_are_no_reason_to_take_the_first_rows_for_all(call, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.estimate.TABLE_URLS", 100)
    urls = [f"http://host.example/{n}.jpg" if n % 2 else "nothing" for n in range(1_000)]
    plan, _ = table_plan(call, tmp_path, urls)
    assert (plan["urls"], plan["urls_counted"], plan["has_more_hosts"]) == (500, 50, True)


def test_a_plan_says_that_hosts_of_pages_are_not_counted(call, tmp_path):
    plan, text = table_plan(call, tmp_path, ["http://site.example/1.jpg"])
    assert not plan["asks_hosts_of_pages"]
    assert "hosts of pages" not in text
    plan, text = table_plan(call, tmp_path, ["http://site.example/1.jpg"], "--set", "collect.tables.page_url=caption")
    assert plan["asks_hosts_of_pages"]
    assert "hosts of pages" in text


def test_hosts_beyond_the_bound_are_counted_together():
    settings = config.load("demo")
    urls = [f"http://h{n % 7}.example/{n}" for n in range(70)]
    hosts, _ = count_hosts(urls, settings, most=3)
    assert (hosts.images, hosts.others, hosts.total) == ({f"h{n}.example": 10 for n in range(3)}, 40, 70)


PEAK = """
import resource, sys
from pipeline import config, estimate
run, most = sys.argv[1], int(sys.argv[2])
hosts, _ = estimate.count_hosts(estimate.candidate_urls(run), config.load("demo"), most)
print(hosts.total, len(hosts.images), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_the_memory_of_a_plan_does_not_grow_with_the_rows(tmp_path):
    """Every row has a host of its own; peaks of two processes, in KiB."""
    peaks = {}
    for parts in (1, 10):
        run = tmp_path / str(parts)
        (run / "candidates").mkdir(parents=True)
        for part in range(parts):
            numbers = range(part * 50_000, (part + 1) * 50_000)
            urls = pa.array([f"http://a-host-with-a-long-name-{n}.example/image.jpg" for n in numbers])
            source = pa.StructArray.from_arrays([pa.array([""] * 50_000)], names=["path"])
            pq.write_table(pa.table({"url": urls, "source": source}), run / f"candidates/part-{part:05d}.parquet")
        words = [sys.executable, "-c", PEAK, str(run), "20000"]
        said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
        total, hosts, peaks[parts] = map(int, said.split())
        assert (total, hosts) == (parts * 50_000, 20_000)
    assert peaks[10] - peaks[1] < 30 * 1024  # half a million names of hosts are 65 MB


def test_images_of_archives_are_not_asked_for(call, finished):
    rows = [row for p in (finished / "candidates").glob("part-*.parquet") for row in pq.read_table(p).to_pylist()]
    hosts = Counter(host_of(row["url"]) for row in rows if not row["source"]["path"])
    plan = json.loads(call(*plan_words(finished, "--json")).out)
    assert (plan["urls"], plan["hosts"]) == (hosts.total(), len(hosts))


def test_the_slowest_host_is_the_one_with_most_images():
    settings = config.load("urls", ["web.hosts=[{pattern: 'slow.*', gap_s: 5}, {pattern: 'wide.*', at_once: 1}]"])
    images = {"slow.example": 10, "wide.example": 60, "usual.example": 80}
    hosts, _ = count_hosts((f"http://{host}/{n}" for host, count in images.items() for n in range(count)), settings)
    expected = [("slow.example", 10, 50.0), ("wide.example", 60, 60 * ANSWER_S), ("usual.example", 80, 8.0)]
    assert [tuple(host) for host in slowest_hosts(hosts, settings.web)] == expected


def test_the_rate_is_the_one_that_was_measured():
    measured = json.loads((Path(__file__).parents[2] / "bench/results/fetch.json").read_text())
    assert pytest.approx(measured["rows"]["https"]["pairmill"]["images_per_s"], rel=0.05) == IMAGES_PER_S


@pytest.mark.parametrize(("size_bytes", "words"), [(0, "0 bytes"), (999, "999 bytes"), (59_000, "59 kB"),
    (3.1e7, "31 MB"), (7.04e9, "7.04 GB"), (2.5e15, "2,500.0 TB")])  # fmt: skip
def test_a_size_in_the_unit_that_fits(size_bytes, words):
    assert size(size_bytes) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (120, "2.0 min"), (9_000, "2.5 h"),
    (864_000, "10.0 days")])  # fmt: skip
def test_a_time_in_the_unit_that_fits(seconds, words):
    assert duration(seconds) == words


# status


def test_the_status_of_a_finished_run(call, finished):
    outcome = call("status", finished, "--json")
    assert outcome.code == 0, outcome.err
    status = json.loads(outcome.out)
    stages = {row["stage"]: row for row in status["stages"]}
    assert list(stages) == ["collect", "fetch", "score", "select.main", "pack.main"]
    assert {row["state"] for row in stages.values()} == {"done"}
    assert stages["collect"]["counts"] == {"candidates": 160}
    assert stages["fetch"]["counts"]["rows"] == 160
    assert stages["pack.main"]["counts"]["samples"] > 100
    assert all(row["duration_s"] >= 0 for row in stages.values())
    text = call("status", finished).out
    assert "select.main" in text
    assert "160 candidates" in text


def test_the_status_of_a_half_done_fetch(call, finished_copy):
    """Parts done and left, and a rate that follows from when the stage began."""
    (finished_copy / "manifest/fetch.json").unlink()
    for stage in ("score", "select.main", "pack.main"):
        (finished_copy / f"manifest/{stage}.json").unlink()
        (finished_copy / f"manifest/{stage}.started.json").unlink()
    parts = sorted(p for p in (finished_copy / "images").glob("*.parquet") if ".log." not in p.name)
    for path in parts[3:]:
        path.unlink()
    started = finished_copy / "manifest/fetch.started.json"
    os.utime(started, (started.stat().st_atime, started.stat().st_mtime - 3600))
    stages = {row["stage"]: row for row in status_of(str(finished_copy))["stages"]}
    fetch = stages["fetch"]
    assert (fetch["state"], fetch["parts_done"], fetch["parts"]) == ("begun", 3, len(parts))
    assert 0 < fetch["parts_per_s"] < 3 / 3600 * 1.1
    assert fetch["left_s"] > 3600 / 3 * (len(parts) - 3) * 0.9
    assert stages["select.main"]["state"] == "to do"
    assert f"3 of {len(parts)}" in call("status", finished_copy).out


def states_of(run) -> dict[str, str]:
    return {row["stage"]: row["state"] for row in status_of(str(run))["stages"]}


def test_what_was_made_of_images_that_are_fetched_anew_is_outdated(call, finished_copy):
    manifest = finished_copy / "manifest/fetch.json"
    before = manifest.read_text()
    manifest.unlink()
    expected = {"collect": "done", "fetch": "begun", "score": "outdated", "select.main": "outdated",
                "pack.main": "outdated"}  # fmt: skip
    assert states_of(finished_copy) == expected
    assert "outdated" in call("status", finished_copy).out
    manifest.write_text(before)
    assert set(states_of(finished_copy).values()) == {"done"}
    manifest.write_text(json.dumps(json.loads(before) | {"outputs_digest": "other", "rounds": ["other"]}))
    assert states_of(finished_copy) == expected | {"fetch": "done"}


def test_the_status_of_a_run_that_has_just_begun(call, finished_copy):
    for name in ("manifest", "images", "candidates", "selection", "shards"):
        shutil.rmtree(finished_copy / name)
    outcome = call("status", finished_copy, "--json")
    assert outcome.code == 0, outcome.err
    assert {row["state"] for row in json.loads(outcome.out)["stages"]} == {"to do"}


def test_the_status_names_every_selection(call, finished_copy):
    for name in ("select", "pack"):
        for ending in ("json", "log.json", "started.json"):
            folder = finished_copy / "manifest"
            shutil.copy(folder / f"{name}.main.{ending}", folder / f"{name}.strict.{ending}")
    stages = [row["stage"] for row in status_of(str(finished_copy))["stages"]]
    assert stages[3:] == ["select.main", "select.strict", "pack.main", "pack.strict"]


def test_the_status_reads_no_part_and_lists_each_folder_of_parts_once(finished, finished_copy, monkeypatch):
    """What they come to was kept while they were fetched; of a fetch half done too, and of scores."""
    with monkeypatch.context() as patch:
        opened = Opened(patch)
        told = status_of(str(finished))
    assert [name for name in opened.files if not name.endswith(".json")] == []
    assert opened.folders.count("images") == 1
    assert told["stages"][1]["outcome"]["rows"] == 160
    for stage in ("fetch", "score", "select.main", "pack.main"):
        (finished_copy / f"manifest/{stage}.json").unlink()
    opened = Opened(monkeypatch)
    half = status_of(str(finished_copy))
    assert [name for name in opened.files if not name.endswith(".json")] == []
    assert opened.folders.count("images") == 1
    assert half["stages"][1]["outcome"] == told["stages"][1]["outcome"]


def test_rows_of_many_parts_are_counted_with_one_list_of_the_rounds(finished, monkeypatch):
    stems = part_stems(str(finished))
    opened = Opened(monkeypatch)
    assert count_reasons(str(finished), stems).total() == 160
    assert len(stems) > 5
    assert opened.folders == ["rounds"]
    assert len(opened.files) == len(stems)


def test_the_status_of_many_parts_without_kept_sums_is_a_glance(call, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.yaml").write_text("{}")
    rows = [image(f"http://h.test/{n}.jpg") for n in range(3)]
    for number in range(GLANCE_PARTS + 5):
        stem = tmp_path / f"run/images/0000-00000-{number:05d}"
        write_rows(f"{stem}.parquet", Image, rows)
        write_rows(f"{stem}.log.parquet", FetchLog, [FetchLog(b"1", "h.test", "", 1.0, 1.0, 1)])
    opened = Opened(monkeypatch)
    outcome = status_of(str(tmp_path / "run"))["stages"][1]["outcome"]
    assert len(opened.files) == 2 * GLANCE_PARTS
    assert (outcome["rows"], outcome["uncounted_parts"]) == (3 * GLANCE_PARTS, 5)
    assert "5 parts not counted yet" in call("status", "run").out
