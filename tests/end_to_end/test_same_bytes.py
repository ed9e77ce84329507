"""The same bytes from every run: whatever the number of worker processes, and from an archive as from the web."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.command import RULES, demo_words, pairmill

from pipeline.demo.settings import DemoSettings
from pipeline.demo.warc import write_warc


@pytest.mark.timeout(300)
def test_three_worker_processes_give_the_same_shards(finished, tmp_path, digest_of_folder):
    """A second run, in another directory and with another number of workers."""
    outcome = pairmill(*demo_words(tmp_path / "run", engine__workers="3", engine__bytes_per_worker="1"))
    assert outcome.code == 0, outcome.err
    assert digest_of_folder(tmp_path / "run/shards") == digest_of_folder(finished / "shards")
    for label in ("collect", "fetch", "score", "select.main", "pack.main"):
        name = f"manifest/{label}.json"
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes(), label


def pairs(run: Path) -> list[tuple[bytes, str]]:
    files = sorted((run / "shards/main").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(file, columns=["uid", "caption"]) for file in files])
    return sorted(zip(table["uid"].to_pylist(), table["caption"].to_pylist(), strict=True))


def test_an_archive_by_another_tool_gives_the_same_pairs_without_a_request(finished, tmp_path):
    """warcio wrote it; nothing listens where its hosts would be, and no contact is set that would allow to ask."""
    write_warc(tmp_path / "web.warc.gz", DemoSettings(pages=100))
    (tmp_path / "archive.yaml").write_text(
        f"""
collect: {{warc: {{paths: ["{tmp_path}/web.warc.gz"], images: only}}}}
fetch: {{image: {{size: 256, rules: {{min_side: 32, max_aspect: 4}}}}}}
select: {{rules: {RULES}}}
"""
    )
    run = tmp_path / "run"
    outcome = pairmill("run", tmp_path / "archive.yaml", "--run-dir", run)
    assert outcome.code == 0, outcome.err
    assert not (run / "demo-access.log").exists()
    assert addresses_asked(run) == {""}
    assert len(pairs(finished)) > 100
    assert pairs(run) == pairs(finished)


def addresses_asked(run: Path) -> set[str]:
    logs = (run / "images").glob("*.log.parquet")
    return {address for log in logs for address in pq.read_table(log)["address"].to_pylist()}


def test_a_manifest_holds_no_clock_and_no_path(finished):
    manifests = [p for p in (finished / "manifest").glob("*.json") if not p.match("*.started.json")]
    manifests = [p for p in manifests if not p.match("*.log.json")]
    assert len(manifests) == 5
    for path in (*manifests, finished / "shards/main/manifest.json"):
        text = path.read_text()
        assert str(finished) not in text, path.name
        assert not {"started", "duration_s", "peak_bytes"} & set(json.loads(text)), path.name
