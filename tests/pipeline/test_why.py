"""`pairmill why`: the life of a pair, for ten different fates, and a clear word where there is none."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
from helpers.opened import Opened

from pipeline.cli import main
from pipeline.commands.why import life, uid_named
from transforms.formats import parquet
from transforms.records import Reject, Selected

FATES = ("", "robots", "opt_out", "http_status", "timeout", "caption_contact", "exact_duplicate", "near_duplicate",
         "page_opt_out", "caption_is_file_name", "url_scheme", "private_address")  # fmt: skip


@pytest.fixture(scope="module")
def fates(finished):
    """reason → (url, uid) of something that ended so."""
    rows = list(parquet.read_all(str(finished / "selection/main"), "*.parquet", Selected))
    rows += list(parquet.read_all(str(finished / "rejects"), "*.parquet", Reject))
    return {row.reason: (row.url, row.uid) for row in rows}


def said(capsys, *words) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["why", *map(str, words)])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("reason", FATES)
def test_each_fate_is_told_for_its_url_and_its_uid(finished, fates, capsys, reason):
    url, uid = fates[reason]
    code, text = said(capsys, finished, url)
    assert code == 0
    assert uid.hex() in text
    assert reason in text if reason else "in a shard" in text
    assert said(capsys, finished, uid.hex()) == (0, text.replace(url, uid.hex(), 1))


def test_a_kept_pair_tells_where_it_came_from_and_where_it_is(finished, fates, capsys):
    url, _ = fates[""]
    code, text = said(capsys, finished, url, "--json")
    events = json.loads(text)["events"]
    assert code == 0
    assert [e["stage"] for e in events if e["stage"] != "score"][:1] == ["collect"]
    kinds = {(e["stage"], e["what"]) for e in events}
    assert {("collect", "candidate"), ("collect", "caption"), ("fetch", "fetched"), ("select", "kept"),
            ("pack", "in a shard")} <= kinds  # fmt: skip
    tar = next(e for e in events if e["stage"] == "pack")["tar"]
    assert (finished / tar).is_file()


def test_a_duplicate_names_the_better_one(finished, fates):
    _, uid = fates["near_duplicate"]
    (event,) = [e for e in life(str(finished), uid, "main") if e.stage == "select"]
    better = bytes.fromhex(event.facts["detail"])
    assert [e.what for e in life(str(finished), better, "main") if e.stage == "select"] == ["kept"]
    assert event.facts["value"] <= 12


def test_spelling_does_not_matter(fates):
    url, uid = fates[""]
    assert uid_named(url) == uid_named(url.replace("http://", "HTTP://") + "#top") == uid_named(f" {uid.hex()} ") == uid


def test_an_unknown_url_says_so_and_names_the_nearest(finished, fates, capsys):
    url, _ = fates[""]
    code, text = said(capsys, finished, url[:-5] + ".jpg")
    assert code == 1
    assert "never heard of it" in text
    assert "did you mean" in text
    code, text = said(capsys, finished, "http://nowhere.example/x.jpg", "--json")
    assert (code, json.loads(text)["events"], json.loads(text)["nearest"]) == (1, [], [])


def opened_for(run, what, capsys, monkeypatch) -> tuple[int, Counter]:
    """The exit code, and how many Parquets of each folder were opened."""
    with monkeypatch.context() as patch:
        opened = Opened(patch)
        code, _ = said(capsys, run, what)
    return code, Counter(name.split("/")[0] for name in opened.files if name.endswith(".parquet"))


@pytest.mark.parametrize("reason", FATES)
def test_only_files_that_can_hold_it_are_opened(finished, fates, capsys, monkeypatch, reason):
    """Of eight parts of candidates, as many of rejects, more of images and four shards."""
    code, folders = opened_for(finished, fates[reason][1].hex(), capsys, monkeypatch)
    assert code == 0
    shards = len(list((finished / "shards/main").glob("*.parquet")))
    assert shards > 2
    halvings = (
        folders.pop("main", 0) - 1
    )  # of the shards; and the one part of the selection, which lies in a `main` too
    assert halvings <= shards.bit_length() + 1
    assert max(folders.values()) == 1
    assert set(folders) <= {"candidates", "rejects", "plan", "images"}


def test_an_unknown_url_is_not_looked_for_in_every_file(finished, fates, capsys, monkeypatch):
    url, _ = fates[""]
    code, folders = opened_for(finished, url[:-5] + ".jpg", capsys, monkeypatch)
    assert code == 1
    frontiers = len(list((finished / "pages/plan").glob("*.done")))
    assert folders["images"] == 0
    assert folders["candidates"] <= 1
    assert folders["rejects"] <= 1
    assert folders["plan"] <= 2 + frontiers  # of fetch: to find it, and to find others of its host; of the crawl


def test_every_row_of_a_run_is_found_again(finished):
    """The files are found by hashes, so each kind of row is looked for in its own."""
    for path in [p for p in sorted((finished / "images").glob("*.parquet")) if ".log." not in p.name]:
        for row in list(pq.read_table(path, columns=["uid", "key"]).to_pylist())[::7]:
            stages = [event.stage for event in life(str(finished), row["uid"], "main")]
            assert stages.count("fetch") == 1
    for path in sorted((finished / "shards/main").glob("*.parquet")):
        for key in pq.read_table(path)["key"].to_pylist()[::5]:
            events = life(str(finished), bytes.fromhex(key), "main")
            assert [e.facts["tar"] for e in events if e.stage == "pack"] == [f"shards/main/{path.stem}.tar"]
    rejects = list(parquet.read_all(str(finished / "rejects"), "*.parquet", Reject))
    assert all(life(str(finished), row.uid, "main") for row in rejects[::5])
