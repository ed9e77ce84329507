"""`plan` and `status`: they tell what is so, and change nothing."""

import json
import os
import shutil

import pytest
from helpers.command import demo_words
from helpers.opened import Opened
from helpers.samples import image

from pipeline.commands.plan import slowest_hosts
from pipeline.commands.status import status_of
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


def test_a_plan_for_people(call, finished):
    out = call(*plan_words(finished)).out
    for word in ("run directory", "candidates     160", "a generated web of about 100 pages", "rows_per_part: 25"):
        assert word in out


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
    assert plan["sources"] == {"seeds": ["http://site.example/"], "max_pages": 10_000}


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


def test_the_slowest_host_is_the_one_with_most_images(finished):
    from pipeline import config

    settings = config.load("urls", ["web.hosts=[{pattern: '*', gap_s: 0.5}]"])
    hosts = slowest_hosts(str(finished), settings)
    assert [row["images"] for row in hosts] == sorted((row["images"] for row in hosts), reverse=True)
    assert all(row["seconds"] == round(row["images"] * 0.5, 1) for row in hosts)


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
