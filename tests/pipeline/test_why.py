"""`pairmill why`: the life of a pair, for ten different fates, and a clear word where there is none."""

import json

import pytest

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
