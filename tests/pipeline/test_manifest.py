"""Fingerprints change with what changes rows, and say what differs."""

from pipeline.manifest import Manifests, Stamp, differing_keys, digest_of_input


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


def test_an_input_digest_sees_both_ends(tmp_path):
    path = tmp_path / "x"
    digests = set()
    for data in (b"a" * 3_000_000, b"b" + b"a" * 2_999_999, b"a" * 2_999_999 + b"b", b"a" * 3_000_001):
        path.write_bytes(data)
        digests.add(digest_of_input(str(path)))
    assert len(digests) == 4
