"""Objects appear whole under their final name, or not at all."""

import errno
import hashlib
import os

import pytest

from transforms import storage


def test_a_failed_write_leaves_nothing(tmp_path):
    path = str(tmp_path / "object")
    with pytest.raises(KeyError), storage.publishing(path) as file:
        file.write(b"half")
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_a_name_made_of_the_content(tmp_path):
    with storage.publishing_by_digest(str(tmp_path), lambda digest: f"x-{digest[:8]}") as file:
        file.write(b"abc")
        file.write(b"def")
    digest = hashlib.sha256(b"abcdef").hexdigest()
    assert file.hexdigest() == digest
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(f"x-{digest[:8]}", b"abcdef")]
    with pytest.raises(KeyError), storage.publishing_by_digest(str(tmp_path), str) as file:
        raise KeyError
    assert len(os.listdir(tmp_path)) == 1


def test_a_full_disk_is_a_clear_error(tmp_path):
    path = str(tmp_path / "object")
    with pytest.raises(storage.StorageError, match="free some space"), storage.publishing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_the_first_of_two_attempts_stays(tmp_path):
    path = str(tmp_path / "object")
    storage.publish(path, b"first", keep_first=True)
    storage.publish(path, b"second", keep_first=True)
    assert storage.read_bytes(path) == b"first"
    assert os.listdir(tmp_path) == ["object"]


def test_temporary_names_are_never_listed_and_always_swept(tmp_path):
    (tmp_path / f"{storage.TEMPORARY_PREFIX}abc-object").write_bytes(b"")
    (tmp_path / "kept").write_bytes(b"")
    (tmp_path / "unnamed").write_bytes(b"")
    assert storage.list_names(str(tmp_path)) == ["kept", "unnamed"]
    storage.sweep(str(tmp_path), {"kept"})
    assert os.listdir(tmp_path) == ["kept"]


def test_a_file_that_is_written_again_at_the_same_size_has_another_mark(tmp_path):
    path = tmp_path / "t.csv"
    marks = []
    for ns in (1_000_000_000, 1_000_000_001):
        path.write_bytes(b"one")
        os.utime(path, ns=(ns, ns))
        marks.append(storage.mark_of(str(path)))
    assert marks == ["1000000000", "1000000001"]


def test_ranges(tmp_path):
    storage.publish(str(tmp_path / "x"), b"0123456789")
    assert storage.read_range(str(tmp_path / "x"), 3, 4) == b"3456"
    with pytest.raises(storage.StorageError, match="missing"):
        storage.read_range(str(tmp_path / "missing"), 0, 1)


@pytest.mark.parametrize(("number", "says"), [
    (errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EACCES, "ask for leave to write there"),
    (errno.EROFS, "mounted for reading alone"), (errno.EMFILE, "ulimit -n"), (errno.EIO, "the disk fails"),
    (errno.EPIPE, "look after that disk"),
])  # fmt: skip
def test_each_failure_to_write_has_its_own_remedy(tmp_path, monkeypatch, number, says):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(storage.StorageError, match=f"{os.strerror(number)}; .*{says}"):
        storage.publish(str(tmp_path / "x"), b"1")


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(storage.StorageError, match="name a folder with a shorter path"):
        storage.publish(str(tmp_path / ("x" * 300)), b"1")
    with pytest.raises(storage.StorageError, match="name a folder with a shorter path"):
        storage.make_folder(str(tmp_path / ("x" * 300)))
