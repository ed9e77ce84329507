"""Fingerprints change with what changes rows, and say what differs."""

import os

from pipeline.manifest import Manifests, Stamp, differing_keys, digests_of_inputs
from transforms import storage


def test_a_fingerprint_covers_settings_and_inputs():
    base = Stamp({"a": 1}, {"x": "1"})
    assert base.fingerprint == Stamp({"a": 1}, {"x": "1"}).fingerprint
    assert (
        len({base.fingerprint, Stamp({"a": 2}, {"x": "1"}).fingerprint, Stamp({"a": 1}, {"x": "2"}).fingerprint}) == 3
    )


def test_the_differing_keys_are_named():
    old, new = {"web": {"a": 1, "b": [1]}, "c": 1}, {"web": {"a": 1, "b": [2]}, "d": 1}
    assert differing_keys(old, new) == ["c: 1 → null", "d: null → 1", "web.b: [1] → [2]"]


def test_a_manifest_holds_no_clock_and_comes_last(tmp_path):
    manifests = Manifests(str(tmp_path))
    stamp = Stamp({"a": 1}, {})
    manifests.start("select.main", stamp)
    assert manifests.read("select.main") is None
    assert manifests.labels("select") == ["select.main"]
    manifests.finish("select.main", stamp, {"counts": {"rows": 1}}, {"started": "2026-01-01", "duration_s": 1.0})
    first = (tmp_path / "manifest/select.main.json").read_bytes()
    manifests.finish("select.main", stamp, {"counts": {"rows": 1}}, {"started": "2027-01-01", "duration_s": 2.0})
    assert (tmp_path / "manifest/select.main.json").read_bytes() == first


SAME_SIZE = [
    b"a" * 3_000_000,
    b"b" + b"a" * 2_999_999,
    b"a" * 2_999_999 + b"b",
    b"a" * 1_700_000 + b"b" + b"a" * 1_299_999,
]


def test_another_byte_anywhere_is_another_input(tmp_path):
    path = tmp_path / "x"
    digests = []
    for data in (*SAME_SIZE, SAME_SIZE[0]):
        path.write_bytes(data)
        digests += digests_of_inputs([str(path)])
    assert len(set(digests)) == 4
    assert digests[-1] == digests[0]  # written anew, the same


def test_of_many_bytes_the_time_of_writing_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.manifest.WHOLE_BYTES", 4_000_000)
    path, other = tmp_path / "x", tmp_path / "y"
    other.write_bytes(b"c" * 2_000_000)
    read = []
    monkeypatch.setattr(storage, "sha256_of", read.append)
    for second, data in enumerate(SAME_SIZE):
        path.write_bytes(data)
        os.utime(path, (second, second))
        read.append(tuple(digests_of_inputs([str(path), str(other)])))
    assert len(set(read)) == 4  # and no file was read whole
    assert len({of_other for _, of_other in read}) == 1


def test_an_edited_table_is_another_run(call, tmp_path):
    """Of the same size, far from both ends."""
    lines = ["url,caption", *(f"http://localhost:9/{n:06}.jpg,a red kite over the sea" for n in range(60_000))]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(lines))
    words = ["run", "urls", "--run-dir", "run", "--to", "collect", "--set", f"collect.tables.paths=[{table}]"]
    assert call(*words).code == 0
    lines[30_000] = lines[30_000].replace("red", "sea")
    table.write_text("\n".join(lines))
    outcome = call(*words)
    assert (outcome.code, "00000 t.csv" in outcome.err) == (2, True)
