"""Fingerprints change with what changes rows, and say what differs."""

import os

from pipeline import manifest
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


def digest_of(path) -> str:
    return digests_of_inputs([str(path)])[0]


def test_an_input_digest_sees_every_byte_and_no_clock(tmp_path):
    path = tmp_path / "x"
    digests = set()
    for at in (None, 0, 1_500_000, 2_999_999):
        data = bytearray(b"a" * 3_000_000)
        if at is not None:
            data[at] = ord("b")
        path.write_bytes(data)
        digests.add(digest_of(path))
    assert len(digests) == 4
    os.utime(path, ns=(1, 1))
    assert digest_of(path) in digests


def test_inputs_beyond_the_limit_are_told_apart_by_blocks_and_by_their_time(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "WHOLE_BYTES", 5_000)
    monkeypatch.setattr(manifest, "BLOCK_BYTES", 10)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"s" * 100)
    large.write_bytes(b"l" * 6_000)
    os.utime(large, ns=(1, 1))
    first = digests_of_inputs([str(large), str(small)])
    small.write_bytes(b"s" * 50 + b"t" + b"s" * 49)
    large.write_bytes(b"l" * 3_000 + b"m" + b"l" * 2_999)  # between two blocks
    second = digests_of_inputs([str(large), str(small)])
    assert [a == b for a, b in zip(first, second, strict=True)] == [False, False]
    os.utime(large, ns=(1, 1))
    assert digest_of(large) == first[0]
    other = tmp_path / "other"
    other.write_bytes(b"l" * 5_999 + b"m")
    os.utime(other, ns=(1, 1))
    assert digest_of(other) != first[0]


def test_an_object_is_told_apart_by_the_mark_of_its_store(monkeypatch):
    url = "memory://inputs/t.csv"
    storage.publish(url, b"a" * 100)
    first = digest_of(url)
    assert digest_of(url) == first
    storage.publish(url, b"a" * 50 + b"b" + b"a" * 49)
    monkeypatch.setattr(manifest, "BLOCK_BYTES", 3)
    assert digest_of(url) != first


def test_a_run_sees_an_input_that_was_edited_at_the_same_size(call, tmp_path):
    """It was in the middle of the file, between its first and last MiB, that an edit was not seen."""
    rows = [f"http://localhost:9/{n}.jpg,a red kite over the sea {'and ' * 6_000}\n" for n in range(100)]
    text = "url,caption\n" + "".join(rows)
    (tmp_path / "t.csv").write_text(text)
    words = ["run", "urls", "--run-dir", "run", "--to", "collect", "--set", "collect.tables.paths=[t.csv]"]
    assert call(*words).code == 0
    assert "collect: already done" in call(*words).err
    at = text.index("kite", len(text) // 2)
    (tmp_path / "t.csv").write_text(text[:at] + "bird" + text[at + 4 :])
    outcome = call(*words)
    assert outcome.code == 2
    assert "inputs.00000 t.csv" in outcome.err
