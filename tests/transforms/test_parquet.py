"""Records as Parquet and back."""

import pytest
from helpers.samples import example_of

from transforms import records, storage
from transforms.formats import parquet


@pytest.mark.parametrize("record", records.ALL)
def test_rows_come_back_as_they_were(tmp_path, record):
    rows = [example_of(record)] * 3
    path = str(tmp_path / "rows.parquet")
    parquet.write_rows(path, record, rows)
    back = list(parquet.read_rows(path, record))
    assert back == rows
    assert all(type(row) is record for row in back)
    assert parquet.count_rows(path) == 3


def test_same_rows_same_bytes(tmp_path):
    for name in ("a", "b"):
        parquet.write_rows(str(tmp_path / name), records.Image, [example_of(records.Image)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(storage.StorageError, match=r"rows\.parquet"):
        list(parquet.read_rows(str(path), records.Score))
