"""A run directory knows what is done: nothing is done twice, and nothing is thrown away without being told to."""

import json
from pathlib import Path

import pytest
from helpers.command import Outcome, demo_words, pairmill
from helpers.kill import log_lines

STRICT = """
select:
  rules: [{rule: caption, min_words: 6}, {rule: exact_duplicate}, {rule: near_duplicate}, {rule: caption_repetition}]
"""


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells a file that was written again: its inode and its time."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def done(outcome: Outcome) -> list[str]:
    """The stages that said that they had nothing to do."""
    return [line.split(":")[0] for line in outcome.err.splitlines() if line.endswith(": already done")]


def samples(run: Path, name: str) -> int:
    return json.loads((run / f"shards/{name}/manifest.json").read_text())["samples"]


def test_a_second_run_finds_everything_done_and_changes_nothing(finished_copy):
    folders = ("pages", "candidates", "rejects", "images", "selection", "shards", "manifest")
    before = {name: stamps(finished_copy / name) for name in folders}
    before["shards"].pop("main/README.md")  # the dataset card is a report, written again
    asked = log_lines(finished_copy)
    outcome = pairmill(*demo_words(finished_copy))
    assert outcome.code == 0, outcome.err
    assert done(outcome) == ["collect", "fetch", "score", "select.main", "pack.main"]
    after = {name: stamps(finished_copy / name) for name in folders}
    after["shards"].pop("main/README.md")
    assert after == before
    assert log_lines(finished_copy) == asked


def test_other_select_settings_decide_again_without_a_request(call, finished_copy):
    asked, images = log_lines(finished_copy), stamps(finished_copy / "images")
    outcome = call(*demo_words(finished_copy, select__rules="[{rule: caption}]"))
    assert outcome.code == 0, outcome.err
    assert done(outcome) == ["collect", "fetch", "score"]
    assert samples(finished_copy, "main") > 120
    assert log_lines(finished_copy) == asked
    assert stamps(finished_copy / "images") == images


def test_other_pack_settings_only_pack_again(call, finished_copy):
    before = stamps(finished_copy / "selection")
    outcome = call(*demo_words(finished_copy, pack__seed="1"))
    assert outcome.code == 0, outcome.err
    assert done(outcome) == ["collect", "fetch", "score", "select.main"]
    assert stamps(finished_copy / "selection") == before


@pytest.mark.parametrize(("changed", "key"), [
    ({"fetch__image__size": "128"}, "fetch.image.size: 256 → 128"),
    ({"fetch__rows_per_part": "30"}, "fetch.rows_per_part: 25 → 30"),
    ({"web__agent": "Other"}, 'collect.web.agent: "Pairmill" → "Other"'),
    ({"collect__crawl__max_depth": "3"}, "collect.crawl.max_depth: 30 → 3"),
    ({"demo__seed": "7"}, "collect.demo.seed: 20260101 → 7"),
])  # fmt: skip
def test_other_settings_of_a_costly_stage_are_refused_by_name(call, finished_copy, changed, key):
    before = stamps(finished_copy)
    outcome = call(*demo_words(finished_copy, **changed))
    assert outcome.code == 2
    assert key in outcome.err
    assert f"--from {key.split('.')[0]}" in outcome.err
    assert "Traceback" not in outcome.err
    assert stamps(finished_copy) == before


def test_what_changes_no_row_is_not_refused(call, finished_copy):
    before = stamps(finished_copy / "images")
    outcome = call(
        *demo_words(
            finished_copy,
            web__timeouts__total_s="9",
            web__contact="me@example.org",
            web__concurrency="3",
            fetch__decoders="1",
            engine__workers="2",
        )
    )
    assert outcome.code == 0, outcome.err
    assert len(done(outcome)) == 5
    assert stamps(finished_copy / "images") == before


@pytest.mark.timeout(240)
def test_from_permits_what_was_refused(finished, finished_copy, digest_of_folder):
    """And with the first settings again, the first shards come again."""
    pages = stamps(finished_copy / "pages")
    outcome = pairmill(*demo_words(finished_copy, "--from", "fetch", fetch__image__size="64"))
    assert outcome.code == 0, outcome.err
    assert stamps(finished_copy / "pages") == pages
    assert samples(finished_copy, "main") == samples(finished, "main")
    assert digest_of_folder(finished_copy / "shards") != digest_of_folder(finished / "shards")
    assert json.loads((finished_copy / "manifest/fetch.json").read_text())["settings"]["image"]["size"] == 64


def test_another_selection_stands_beside_the_first(call, finished_copy, tmp_path):
    """`select` and `pack` by name, by the run's own settings; the first selection stays as it is."""
    (tmp_path / "strict.yaml").write_text(STRICT)
    asked, first, settings = log_lines(finished_copy), stamps(finished_copy / "shards/main"), finished_copy / "run.yaml"
    kept = settings.read_bytes()
    selected = call("select", finished_copy, "--policy", tmp_path / "strict.yaml", "--name", "strict")
    assert selected.code == 0, selected.err
    assert "caption_too_few_words" in selected.out
    packed = call("pack", finished_copy, "--name", "strict")
    assert packed.code == 0, packed.err
    assert 0 < samples(finished_copy, "strict") < samples(finished_copy, "main")
    assert log_lines(finished_copy) == asked
    assert stamps(finished_copy / "shards/main") == first
    assert settings.read_bytes() == kept
    assert call("validate", finished_copy / "shards/strict").code == 0


def test_an_interrupted_pack_is_taken_up_again(call, finished, finished_copy, digest_of_folder):
    """Half of the shards are there and no manifest: as after a crash."""
    (finished_copy / "manifest/pack.main.json").unlink()
    (finished_copy / "shards/main/manifest.json").unlink()
    (finished_copy / "shards/main/00001.tar").unlink()
    (finished_copy / "shards/main/.tmp-1234-00001.tar").write_bytes(b"half")
    outcome = call("pack", finished_copy)
    assert outcome.code == 0, outcome.err
    assert digest_of_folder(finished_copy / "shards") == digest_of_folder(finished / "shards")


def test_what_a_dead_attempt_left_without_a_commit_is_swept(call, finished, finished_copy):
    """A tar that no Parquet names, and temporary files: gone when the stage is finished again."""
    (finished_copy / "manifest/fetch.json").unlink()
    last = sorted((finished_copy / "images").glob("*[0-9].parquet"))[-1]
    stem = last.name.removesuffix(".parquet")
    (finished_copy / "images" / f"{stem}-0123456789abcdef.tar").write_bytes(b"of a dead attempt")
    (finished_copy / "images/.tmp-77-x.tar").write_bytes(b"half a tar")
    (finished_copy / "manifest/.tmp-78-fetch.json").write_bytes(b"{")
    outcome = call(*demo_words(finished_copy))
    assert outcome.code == 0, outcome.err
    assert done(outcome) == ["collect", "score", "select.main", "pack.main"]
    names = {p.name for p in (finished / "images").iterdir()}
    assert {p.name for p in (finished_copy / "images").iterdir()} == names
    assert list(finished_copy.rglob(".tmp-*")) == []
