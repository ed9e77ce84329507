"""Driving the stages of a run directory: in order, one process at a time, a full disk survived."""

import json
import resource
from collections import Counter

import pytest
from helpers.command import Started, demo_words, pairmill

from pipeline import config, locks
from pipeline.context import Context
from pipeline.engines.engine import Engine
from pipeline.errors import DataError, UsageError
from pipeline.manifest import Stamp
from pipeline.redo import has_grown, refusal
from pipeline.run import run_stages, stages_between
from pipeline.stages import STAGES
from pipeline.stages.collect import stamp as collect_stamp
from pipeline.stages.fetch import check_guards
from pipeline.ui.progress import Progress
from transforms import storage
from transforms.spool import Memory, Spool

WHOLE = (0, 1)


def url_table(folder, rows="http://localhost:9/a.jpg,a red kite over the sea\n") -> str:
    (folder / "t.csv").write_text("url,caption\n" + rows)
    return f"collect.tables.paths=[{folder}/t.csv]"


# order


def test_stages_between():
    assert [s.name for s in stages_between("fetch", "select")] == ["fetch", "score", "select"]
    with pytest.raises(UsageError, match="the stages run in the order collect, fetch"):
        stages_between("pack", "fetch")


def test_a_run_can_end_early_and_go_on(call, tmp_path):
    words = ["run", "urls", "--run-dir", "run", "--set", url_table(tmp_path)]
    assert call(*words, "--to", "collect").code == 0
    assert (tmp_path / "run/manifest/collect.json").exists()
    assert not (tmp_path / "run/images").exists()
    outcome = call(*words)
    assert outcome.code == 0, outcome.err
    assert "collect: already done" in outcome.err
    assert json.loads((tmp_path / "run/shards/main/manifest.json").read_text())["samples"] == 0


def test_a_later_stage_needs_the_earlier_one(call, tmp_path):
    outcome = call("run", "urls", "--run-dir", "run", "--set", url_table(tmp_path), "--from", "select")
    assert outcome.code == 2
    assert "not finished; run it first" in outcome.err


def test_a_run_goes_on_from_another_directory(call, tmp_path, monkeypatch):
    """All names are relative, and hold from where they were given."""
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost:9/a.jpg,a red kite over the sea\n")
    words = ["--set", "collect.tables.paths=['*.csv']", "--set", "web.ca_file=ca.pem"]
    (tmp_path / "ca.pem").write_text("")
    assert call("run", "urls", "--run-dir", "run", "--to", "collect", *words).code == 0
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere/deep")
    assert config.load_run("../../run").collect.tables.paths == [str(tmp_path / "*.csv")]
    outcome = call("run", "../../run/run.yaml", "--run-dir", "../../run", "--set", "web.ca_file=''")
    assert outcome.code == 0, outcome.err
    assert "collect: already done" in outcome.err
    for again in (["retry", "../../run"], ["select", "../../run", "--name", "b", "--policy", "../../p.yaml"],
                  ["pack", "../../run", "--name", "b"], ["status", "../../run"],
                  ["why", "../../run", "http://localhost:9/a.jpg"]):  # fmt: skip
        (tmp_path / "p.yaml").write_text("rules: [{rule: caption}]")
        outcome = call(*again)
        assert outcome.code == 0, (again, outcome.err)


# fingerprints


def stamp_of(tmp_path, *overrides) -> Stamp:
    settings = config.load("urls", [url_table(tmp_path), *overrides])
    context = Context(str(tmp_path / "run"), "main", settings, Engine(settings.engine), Progress(), WHOLE)
    return collect_stamp(context)


def test_a_fingerprint_follows_content_and_nothing_else(tmp_path):
    first = stamp_of(tmp_path)
    same = ["web.contact=me@example.org", "web.timeouts.total_s=3", "engine.workers=3", "fetch.image.size=99",
            "web.concurrency=7", "select.rules=[]"]  # fmt: skip
    assert stamp_of(tmp_path, *same).fingerprint == first.fingerprint
    assert stamp_of(tmp_path, "collect.max_captions=3").fingerprint != first.fingerprint
    assert stamp_of(tmp_path, "web.agent=Other").fingerprint != first.fingerprint
    early = stamp_of(tmp_path, "collect.judge_early=true")
    assert stamp_of(tmp_path, "collect.judge_early=true", "select.rules=[]").fingerprint != early.fingerprint


def test_a_fingerprint_follows_what_stands_in_the_inputs(tmp_path):
    first = stamp_of(tmp_path)
    (tmp_path / "t.csv").write_text("url,caption\nhttp://localhost:9/b.jpg,another\n")
    settings = config.load("urls", [f"collect.tables.paths=[{tmp_path}/t.csv]"])
    context = Context(str(tmp_path / "run"), "main", settings, Engine(settings.engine), Progress(), WHOLE)
    assert collect_stamp(context).fingerprint != first.fingerprint


def test_a_fingerprint_does_not_follow_the_place_of_the_inputs(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert stamp_of(tmp_path / "a").fingerprint == stamp_of(tmp_path / "b").fingerprint


def test_a_fingerprint_follows_the_tables_beside_adopted_tars(tmp_path):
    (tmp_path / "00000.tar").write_bytes(bytes(10_240))
    fingerprints = set()
    for text in (None, b"one", b"two"):
        if text is not None:
            (tmp_path / "00000.parquet").write_bytes(text)
        settings = config.load("adopt", [f"collect.adopt.folder={tmp_path}"])
        context = Context(str(tmp_path / "run"), "main", settings, Engine(settings.engine), Progress(), WHOLE)
        fingerprints.add(collect_stamp(context).fingerprint)
    assert len(fingerprints) == 3


def test_a_fingerprint_follows_what_stands_in_the_seed_file(tmp_path):
    path = tmp_path / "seeds.txt"
    fingerprints = set()
    for text in ("http://localhost/a\n", "http://localhost/b\n", "# again\nhttp://localhost/b\n"):
        path.write_text(text)
        settings = config.load("site", [f"collect.crawl.seed_file={path}"])
        context = Context(str(tmp_path), "main", settings, Engine(settings.engine), Progress(), WHOLE)
        fingerprints.add(collect_stamp(context).fingerprint)
    assert len(fingerprints) == 2


def test_a_refusal_names_keys_values_and_remedies():
    known = {"settings": {"image": {"size": 256}, "rows_per_part": 7}, "inputs": {"candidates": "aa"}}
    stamp = Stamp({"image": {"size": 512}, "rows_per_part": 7}, {"candidates": "bb"})
    text = refusal("runs/x", STAGES[1], known, stamp)
    assert "stage fetch was run with other settings" in text
    assert "fetch.image.size: 256 → 512" in text
    assert 'inputs.candidates: "aa" → "bb"' in text
    assert "rows_per_part" not in text
    assert "--from fetch" in text
    assert "--run-dir" in text


# locks


def test_slices_work_side_by_side_but_never_beside_a_whole_run(tmp_path):
    run = str(tmp_path / "run")
    with locks.only_one(run, (0, 2)), locks.only_one(run, (1, 2)):
        for part in (WHOLE, (0, 2)):
            with pytest.raises(UsageError, match="another pairmill is at work"), locks.only_one(run, part):
                pass
    with locks.only_one(run, WHOLE):
        for part in (WHOLE, (0, 2)):
            with pytest.raises(UsageError, match="another pairmill is at work"), locks.only_one(run, part):
                pass


def test_a_lock_ends_with_its_process(tmp_path):
    run = tmp_path / "run"
    started = Started(demo_words(run))
    assert started.wait_until(lambda: (run / "run.yaml").exists())
    refused = pairmill(*demo_words(run))
    assert refused.code == 2
    assert "another pairmill is at work here" in refused.err
    started.signal(9)
    started.wait()
    with locks.only_one(str(run), WHOLE):
        pass


# a full disk


def small_files(limit_bytes: int):
    """No file may grow beyond the limit: what a full disk looks like to whoever writes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))


def check_full_disk(run, limit_bytes: int) -> None:
    failed = pairmill(*demo_words(run), preexec=small_files(limit_bytes))
    assert failed.code == 3, failed.err
    assert "Traceback" not in failed.err
    last = failed.err.splitlines()[-1]
    assert last.startswith("pairmill: ")
    assert "free some space and run again" in last


def test_a_disk_that_is_full_at_once_is_a_message(tmp_path):
    check_full_disk(tmp_path / "run", 2_000)


@pytest.mark.timeout(240)
def test_a_disk_that_fills_up_is_a_message_and_the_run_goes_on_later(finished, tmp_path):
    """At the first tar of images."""
    run = tmp_path / "run"
    check_full_disk(run, 60_000)
    assert (run / "images").exists()
    outcome = pairmill(*demo_words(run))
    assert outcome.code == 0, outcome.err
    assert (run / "shards/main/manifest.json").read_bytes() == (finished / "shards/main/manifest.json").read_bytes()


def test_a_full_disk_under_a_spool_is_no_fault_of_the_image():
    """It must not become a row's internal error, which would be final."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(storage.StorageError, match="free some space"), Spool(Memory(10)) as spool:
            spool.put(bytes(16), bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_run_whose_directory_goes_away_is_a_message(tmp_path, call, monkeypatch):
    def fail(path, data, **_):
        raise storage.StorageError(f"cannot write {path}: No space left on device; free some space and run again")

    monkeypatch.setattr(storage, "publish", fail)
    outcome = call("run", "urls", "--run-dir", "run", "--set", url_table(tmp_path))
    assert outcome.code == 3
    assert "run.yaml: No space left on device; free some space" in outcome.err


# guards


def engine(**settings):
    return config.EngineSettings(**settings)


def test_guards_stop_a_run_that_is_broken_rather_than_unlucky():
    check_guards(Counter({"": 9_999, "internal_error": 1}), engine())
    with pytest.raises(DataError, match="2 of 10001 rows ended in an internal error"):
        check_guards(Counter({"": 9_999, "internal_error": 2}), engine())
    check_guards(Counter({"": 1, "timeout": 9}), engine(max_drop_share=0.9))
    with pytest.raises(DataError, match=r"9 of 10 rows were dropped \(timeout 9\).*max_drop_share = 0.5"):
        check_guards(Counter({"": 1, "timeout": 9}), engine(max_drop_share=0.5))


def test_a_guard_that_fires_is_exit_1_and_names_the_reason(call, tmp_path):
    words = ["run", "urls", "--run-dir", "run", "--set", url_table(tmp_path), "--set", "engine.max_drop_share=0.5"]
    outcome = call(*words)
    assert outcome.code == 1
    assert "1 of 1 rows were dropped" in outcome.err
    assert "engine.max_drop_share" in outcome.err
    assert call(*words, "--set", "engine.max_drop_share=1").code == 0


# select and pack of a finished run


def test_run_again_uses_the_runs_own_settings(call, finished_copy, tmp_path):
    """The settings of the run directory, but for the policy."""
    (tmp_path / "policy.yaml").write_text("rules: [{rule: caption, max_characters: 40}]\nmax_captions: 1\n")
    outcome = call("select", finished_copy, "--policy", "policy.yaml", "--name", "short_1")
    assert outcome.code == 0, outcome.err
    assert call("pack", finished_copy, "--name", "short_1").code == 0
    shards = json.loads((finished_copy / "shards/short_1/manifest.json").read_text())
    assert shards["samples"] > 0
    assert all(shard["samples"] <= 40 for shard in shards["shards"])  # pack.samples_per_shard of run.yaml


def test_a_pack_before_its_select_is_refused(call, finished):
    outcome = call("pack", finished, "--name", "nothing")
    assert outcome.code == 2
    assert "select.nothing is not finished" in outcome.err


def test_run_stages_says_whether_everything_is_there(finished_copy):
    settings = config.parse(config.read_yaml(finished_copy / "run.yaml"), "run.yaml")
    assert run_stages(settings, str(finished_copy), progress=Progress())


def test_scores_stay_true_when_only_more_came_in():
    score = next(stage for stage in STAGES if stage.name == "score")
    collect = next(stage for stage in STAGES if stage.name == "collect")
    before = Stamp({"model": "a"}, {"images, round 0": "1"})
    known = {"fingerprint": before.fingerprint, **before._asdict()}
    more = before._replace(inputs={"images, round 0": "1", "images, round 1": "2"})
    assert has_grown(score, known, more)
    assert not has_grown(collect, known, more)
    assert not has_grown(score, known, before)
    assert not has_grown(score, known, more._replace(settings={"model": "b"}))
    assert not has_grown(score, known, more._replace(inputs={"images, round 0": "9", "images, round 1": "2"}))
    assert not has_grown(score, known | {"fingerprint": "of another schema"}, more)
