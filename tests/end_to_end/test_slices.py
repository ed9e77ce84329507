"""`--part I/N`: slices by host in processes of their own, at once, give the shards of one run."""

import pytest
from helpers.command import Started, demo_words, pairmill
from helpers.kill import image_parts, log_lines, request_of


@pytest.mark.timeout(300)
def test_two_slices_at_once_give_the_shards_of_one_run(finished, tmp_path, digest_of_folder):
    run = tmp_path / "run"
    collected = pairmill(*demo_words(run, "--to", "collect"))
    assert collected.code == 0, collected.err
    before = len(log_lines(run))
    slices = [Started(demo_words(run, "--part", f"{number}/2")) for number in (0, 1)]
    outcomes = [started.wait() for started in slices]
    assert [outcome.code for outcome in outcomes] == [0, 0], [outcome.err for outcome in outcomes]
    assert digest_of_folder(run / "shards") == digest_of_folder(finished / "shards")
    for label in ("fetch", "select.main", "pack.main"):
        name = f"manifest/{label}.json"
        assert (run / name).read_bytes() == (finished / name).read_bytes(), label
    asked = [request_of(line) for line in log_lines(run)[before:]]
    pictures = [request for request in asked if request[1].startswith("/img/")]
    assert len(pictures) > 100
    assert len(pictures) == len(set(pictures))  # a host belongs to one slice


@pytest.mark.timeout(300)
def test_one_slice_alone_fetches_its_share_and_says_what_is_missing(call, finished_copy):
    """Of three tasks, slice 1 of 2 has the second."""
    for path in image_parts(finished_copy):
        path.unlink()
    for name in ("fetch", "score", "select.main", "pack.main"):
        (finished_copy / f"manifest/{name}.json").unlink()
    outcome = call(*demo_words(finished_copy, "--part", "1/2"))
    assert outcome.code == 0, outcome.err
    assert "this slice is done; the run is complete when the other slices are" in outcome.out
    assert {path.name.split("-")[1] for path in image_parts(finished_copy)} == {"00001"}
    assert not (finished_copy / "manifest/fetch.json").exists()
