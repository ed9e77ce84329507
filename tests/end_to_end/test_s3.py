"""The run directory in an S3 bucket: the same shards as on a local disk, and every command that looks at a run."""

import json
import re

import pyarrow.parquet as pq
import pytest
from helpers.command import demo_words, pairmill
from helpers.s3 import environment_of, serving_s3

pytestmark = pytest.mark.timeout(300)  # two whole runs stand before the first test


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with serving_s3(tmp_path_factory.mktemp("s3") / "root") as server:
        yield server


@pytest.fixture(scope="module")
def run(s3) -> str:
    """A finished run of the small demo."""
    outcome = pairmill(*demo_words(f"{s3.url}/run"), env=s3.environment)
    assert outcome.code == 0, outcome.err
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in outcome.out + outcome.err
    return f"{s3.url}/run"


def test_the_shards_are_those_of_a_local_run(run, s3, finished):
    mine, local = s3.folder / "run/shards/main", finished / "shards/main"
    assert (mine / "manifest.json").read_bytes() == (local / "manifest.json").read_bytes()
    assert sorted(p.name for p in mine.iterdir()) == sorted(p.name for p in local.iterdir())
    assert (mine / "00000.tar").read_bytes() == (local / "00000.tar").read_bytes()


def test_nothing_unnamed_is_left(run, s3, finished):
    """But for the digests in the names of what was archived of hosts and pages, which hold when they were asked."""
    assert names_in(s3.folder / "run") == names_in(finished)


def names_in(run) -> list[str]:
    names = (p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file() and not p.name.startswith(".lock-"))
    return sorted(re.sub(r"-[0-9a-f]{16}(?=\.warc)|(?<=^hosts/.{14})-[0-9a-f]{32}", "", name) for name in names)


def test_the_commands_that_look_at_a_run(run, s3, finished):
    stages = json.loads(pairmill("status", run, "--json", env=s3.environment).out)["stages"]
    assert {stage["state"] for stage in stages} == {"done"}
    uid = pq.read_table(finished / "shards/main/00000.parquet", columns=["uid"])["uid"][0].as_py()
    told = [json.loads(pairmill("why", where, uid, "--json", env=s3.environment).out) for where in (run, finished)]
    assert told[0] == told[1]
    assert [event["stage"] for event in told[0]["events"]][-1] == "pack"
    report = pairmill("report", run, "--thumbnails", env=s3.environment)
    assert report.code == 0, report.err
    assert (s3.folder / "run/report.html").stat().st_size > 10_000


def test_the_shards_are_sound_where_they_lie(run, s3):
    outcome = pairmill("validate", f"{run}/shards/main", env=s3.environment)
    assert outcome.code == 0, outcome.out + outcome.err
    assert outcome.out.startswith("sound: ")


def test_a_finished_run_has_nothing_to_do(run, s3):
    before = {p: p.stat().st_mtime_ns for p in (s3.folder / "run/images").rglob("*")}
    outcome = pairmill(*demo_words(run), env=s3.environment)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("already done") == 5
    assert {p: p.stat().st_mtime_ns for p in (s3.folder / "run/images").rglob("*")} == before


def test_a_table_in_a_bucket(run, s3, finished):
    """Inputs may lie in a bucket while the run does not."""
    words = ("plan", "urls", "--run-dir", "run", "--json")
    path = f"{s3.url}/run/shards/main/*.parquet"
    plan = json.loads(pairmill(*words, "--set", f"collect.tables.paths=['{path}']", env=s3.environment).out)
    samples = json.loads((finished / "shards/main/manifest.json").read_text())["samples"]
    assert plan["sources"] == {
        "table_files": len(list((finished / "shards/main").glob("*.parquet"))),
        "table_rows": samples,
    }


@pytest.mark.parametrize(("run_dir", "changes", "says"), [
    ("s3://nowhere/run", {}, "there is no such bucket"),
    ("s3://bucket/run2", {"secret": "wrong"}, "does not accept the credentials"),
    ("s3://bucket/run2", {"endpoint": "http://127.0.0.1:1"}, "does not answer"),
    ("ftp://bucket/run2", {}, "unknown kind of store"),
])  # fmt: skip
def test_a_place_that_cannot_be_used_is_refused_before_work(s3, run_dir, changes, says):
    environment = environment_of(**{"endpoint": s3.endpoint, **changes})
    outcome = pairmill(*demo_words(run_dir), env=environment)
    assert outcome.code == 2
    assert says in outcome.err
    assert run_dir in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (s3.folder / "run2").exists()


def test_a_model_behind_a_url_is_refused(s3):
    outcome = pairmill(*demo_words(f"{s3.url}/run3", score__model=f"{s3.url}/model"), env=s3.environment)
    assert outcome.code == 2
    assert "copy it there first" in outcome.err
