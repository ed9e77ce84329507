"""One commit a part: the Parquet names its tar, and two attempts with different answers never mix."""

import io
import tarfile

from helpers.samples import image

from transforms import storage
from transforms.fetch.commit import commit_part, committed_names, is_committed
from transforms.formats import parquet
from transforms.records import FetchLog, Image
from transforms.spool import Memory, Spool

STEM = "0000-00000-00000"


def attempt(folder, answers: dict[str, bytes | None]) -> None:
    with Spool(Memory(1 << 20)) as spool:
        rows = []
        for url, body in answers.items():
            row = image(url) if body else image(url, status="failed_to_download", reason="timeout", width=None)
            if body:
                spool.put(row.uid, body)
            rows.append((row, "jpg" if body else ""))
        commit_part(str(folder), STEM, rows, spool, [FetchLog(r.uid, "h", "", 0.0, 0.0, 0) for r, _ in rows])


def committed(folder) -> dict[str, bytes | None]:
    """What a reader sees: the rows of the commit, and the bytes that they point to."""
    rows = parquet.read_rows(str(folder / f"{STEM}.parquet"), Image)
    return {r.url: storage.read_range(str(folder / r.tar), r.offset, r.length) if r.tar else None for r in rows}


def test_rows_point_at_their_bytes(tmp_path):
    answers = {"http://a/1": b"one" * 999, "http://a/2": None, "http://a/3": b"x"}
    attempt(tmp_path, answers)
    assert is_committed(str(tmp_path), STEM)
    assert committed(tmp_path) == answers


def test_two_interleaved_attempts_leave_one_consistent_commit(tmp_path, monkeypatch):
    """The second attempt runs whole between the first one's tar and its Parquet."""
    first, second = {"http://a/1": b"first", "http://a/2": None}, {"http://a/1": None, "http://a/2": b"second"}
    write_rows = parquet.write_rows
    interrupted = []

    def interleave(path, record, rows, **options):
        if not interrupted:
            interrupted.append(path)
            attempt(tmp_path, second)
        write_rows(path, record, rows, **options)

    monkeypatch.setattr(parquet, "write_rows", interleave)
    attempt(tmp_path, first)
    assert committed(tmp_path) == second
    assert len(storage.list_names(str(tmp_path), "*.tar")) == 2
    storage.sweep(str(tmp_path), committed_names(str(tmp_path)))
    assert len(storage.list_names(str(tmp_path), "*.tar")) == 1
    assert committed(tmp_path) == second


def test_members_are_img2datasets(tmp_path):
    attempt(tmp_path, {"http://a/1": b"one"})
    (name,) = storage.list_names(str(tmp_path), "*.tar")
    with tarfile.open(fileobj=io.BytesIO((tmp_path / name).read_bytes())) as tar:
        key = image("http://a/1").key
        assert tar.getnames() == [f"{key}.jpg", f"{key}.txt", f"{key}.json"]
        assert all(member.mtime == 0 for member in tar.getmembers())


def test_a_spool_gives_back_what_was_put_in_any_order():
    with Spool(Memory(4)) as spool:  # most of it is on disk
        for n in range(50):
            spool.put(bytes([n]), bytes([n]) * n)
        assert all(spool.get(bytes([n])) == bytes([n]) * n for n in reversed(range(50)))
