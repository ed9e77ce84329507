"""A run that was begun with relative paths goes on, and is looked at, from another working directory."""

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command import Outcome, pairmill
from helpers.shards import COLOURS, SHAPES, encoded, picture

PAIRS = [(colour, shape) for colour in COLOURS for shape in SHAPES]


@pytest.fixture
def home(tmp_path) -> Path:
    """A folder with a webdataset, and with a configuration that names it as it is seen from there."""
    folder = tmp_path / "home"
    (folder / "theirs").mkdir(parents=True)
    with tarfile.open(folder / "theirs/00000.tar", "w") as tar:
        for number, (colour, shape) in enumerate(PAIRS):
            image = encoded(picture(colour, shape, number))
            for ending, data in (("jpg", image), ("txt", f"a {colour} {shape} on light grey".encode())):
                info = tarfile.TarInfo(f"{number:09d}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    settings = {
        "collect": {"adopt": {"folder": "theirs"}},
        "fetch": {"image": {"mode": "no", "rules": {"min_side": 0}}},
        "select": {"rules": [{"rule": "caption", "min_words": 1}]},
    }
    (folder / "my.yaml").write_text(yaml.safe_dump(settings))
    return folder


def ended_well(*words, cwd) -> Outcome:
    outcome = pairmill(*words, cwd=cwd)
    assert outcome.code == 0, outcome.err
    return outcome


def test_it_goes_on_from_elsewhere_and_every_command_finds_it(home, tmp_path):
    run, elsewhere = home / "runs/x", tmp_path
    ended_well("run", "my.yaml", "--run-dir", "runs/x", "--to", "collect", cwd=home)
    told = yaml.safe_load((run / "run.yaml").read_text())
    assert told["collect"]["adopt"]["folder"] == str(home / "theirs")
    on = ended_well("run", home / "my.yaml", "--run-dir", run, cwd=elsewhere)
    assert "collect: already done" in on.err
    assert json.loads((run / "shards/main/sizes.json").read_text()) == {"00000.tar": len(PAIRS)}
    again = ended_well("run", run / "run.yaml", "--run-dir", run, cwd=elsewhere)
    assert again.err.count("already done") == 5
    by_name = ("run", "my.yaml", "--run-dir", "runs/x", "--set", "collect.adopt.folder=theirs")
    assert ended_well(*by_name, cwd=home).err.count("already done") == 5

    stages = json.loads(ended_well("status", run, "--json", cwd=elsewhere).out)["stages"]
    assert {stage["state"] for stage in stages} == {"done"}
    keys = json.loads((run / "shards/main/manifest.json").read_text())["samples"]
    assert keys == len(PAIRS)
    (elsewhere / "policy.yaml").write_text("rules: [{rule: caption, min_words: 2}]")
    ended_well("select", run, "--policy", "policy.yaml", "--name", "two", cwd=elsewhere)
    ended_well("pack", run, "--name", "two", cwd=elsewhere)
    ended_well("validate", run / "shards/two", cwd=elsewhere)
    key = pq.read_table(run / "shards/two/00000.parquet")["key"][0].as_py()
    why = json.loads(ended_well("why", run, key, "--name", "two", "--json", cwd=elsewhere).out)["events"]
    assert [event["stage"] for event in why] == ["collect", "collect", "fetch", "select", "pack"]
    train = ("train", run / "shards/two", "--out", "model", "--steps", "1", "--batch", "4")
    ended_well(*train, cwd=elsewhere)
    assert (elsewhere / "model/open_clip_config.json").exists()
    assert sorted(p.name for p in elsewhere.iterdir()) == ["home", "model", "policy.yaml"]
