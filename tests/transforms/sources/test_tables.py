import datetime
import gzip
import json
import math
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.values import canonical_json
from transforms.sources.base import Row
from transforms.sources.tables import TableSource, read_table
from transforms.sources.text import TableError

ROWS = [("http://e.org/a.jpg", 'a cat, "big"\nand red'), ("http://e.org/ü.jpg", "ein Hütchen 猫")]
CSV = 'url,caption,n\nhttp://e.org/a.jpg,"a cat, ""big""\nand red",1\nhttp://e.org/ü.jpg,ein Hütchen 猫,2\n'
TSV = 'url\tcaption\tn\nhttp://e.org/a.jpg\ta cat, "big" and red\t1\nhttp://e.org/ü.jpg\tein Hütchen 猫\t2\n'
JSONL = "".join(json.dumps({"url": u, "caption": c, "n": n + 1}) + "\n" for n, (u, c) in enumerate(ROWS))


def table(path, data, **settings):
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path), TableSource(paths=[str(path)], **settings)


def parquet(path, columns, **settings):
    pq.write_table(pa.table(columns), path)
    return str(path), TableSource(paths=[str(path)], **settings)


def read(path, settings):
    settings.check()
    return list(read_table(path, settings))


def error(path, settings):
    with pytest.raises(TableError) as caught:
        settings.check()
    assert path in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.csv", CSV),
        ("x.csv.gz", gzip.compress(CSV.encode())),
        ("x.CSV.zst", zstandard.compress(CSV.encode())),
        ("x.csv", "\ufeff" + CSV.replace("\n", "\r\n").replace('big""\r\n', 'big""\n')),
        ("x.csv", CSV.encode("utf-16")),
        ("x.jsonl", JSONL),
        ("x.jsonl.zst", zstandard.compress(JSONL.encode())),
        ("x.ndjson", JSONL.replace("\n", "\n\n")),
    ],
)
def test_text_tables_are_read(tmp_path, name, data):
    assert [(r.url, r.caption) for r in read(*table(tmp_path / name, data))] == ROWS


@pytest.mark.parametrize(("name", "data"), [("x.tsv", TSV), ("x.tsv.gz", gzip.compress(TSV.encode()))])
def test_a_tsv_has_no_quotes(tmp_path, name, data):
    rows = read(*table(tmp_path / name, data))
    assert [(r.url, r.caption) for r in rows] == [(ROWS[0][0], 'a cat, "big" and red'), ROWS[1]]


def test_parquet_is_read(tmp_path):
    columns = {"url": [u for u, _ in ROWS], "caption": pa.array([c for _, c in ROWS]).dictionary_encode()}
    rows = read(*parquet(tmp_path / "x.parquet", columns))
    assert [(r.url, r.caption) for r in rows] == ROWS


def test_a_list_of_urls_is_read(tmp_path):
    rows = read(*table(tmp_path / "x.txt", "http://e.org/a.jpg\n\n  http://e.org/b.jpg \r\n"))
    assert [(r.url, r.caption) for r in rows] == [("http://e.org/a.jpg", ""), ("http://e.org/b.jpg", "")]


@pytest.mark.parametrize("extra", ["all", ["s", "n"]])
def test_other_columns_are_carried_as_canonical_json(tmp_path, extra):
    columns = {"TEXT": ["x"], "URL": ["u"], "key": [7], "s": [math.nan], "n": [3]}
    settings = {"url": "URL", "caption": "TEXT", "source_uid": "key", "extra": extra}
    rows = read(*parquet(tmp_path / "x.parquet", columns, **settings))
    assert rows == [Row("u", "x", "", "7", '{"n":3,"s":null}')]


def test_csv_values_stay_as_written(tmp_path):
    assert read(*table(tmp_path / "x.csv", CSV, extra=["n"]))[0].extra == '{"n":"1"}'


def test_times_and_other_types_have_a_text(tmp_path):
    columns = {
        "url": ["u"],
        "caption": ["c"],
        "t": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        "d": [datetime.date(2024, 1, 2)],
        "x": [b"\x00\xff"],
        "l": [[1.5, None]],
        "m": [Decimal("1.50")],
        "i": pa.array([5], pa.duration("ns")),
    }
    extra = json.loads(read(*parquet(tmp_path / "x.parquet", columns, extra="all"))[0].extra)
    assert extra.pop("t") == "2023-11-14 22:13:20.123456789"
    assert extra == {"d": "2024-01-02", "x": "00ff", "l": [1.5, None], "m": "1.50", "i": 5}


def test_nothing_is_an_empty_text(tmp_path):
    rows = read(*parquet(tmp_path / "x.parquet", {"url": ["u", None], "caption": pa.nulls(2)}))
    assert [(r.url, r.caption) for r in rows] == [("u", ""), ("", "")]


def test_a_table_without_captions(tmp_path):
    assert read(*table(tmp_path / "x.csv", "url\nu\n", caption=None))[0] == Row("u", "")


def test_a_table_without_a_header_line(tmp_path):
    rows = read(*table(tmp_path / "x.tsv", "a cat\thttp://e.org/a.jpg\n", columns=["caption", "url"]))
    assert [(r.url, r.caption) for r in rows] == [("http://e.org/a.jpg", "a cat")]


def test_another_separator(tmp_path):
    assert read(*table(tmp_path / "x.csv", "url;caption\nu;c\n", separator=";"))[0][:2] == ("u", "c")


def test_a_format_can_be_named(tmp_path):
    assert read(*table(tmp_path / "x.dat", JSONL, format="jsonl"))[0].url == ROWS[0][0]


def test_broken_rows_in_the_middle_are_counted_as_rows_without_url(tmp_path):
    good = '{"url": "u", "caption": "c"}\n'
    path, settings = table(tmp_path / "x.jsonl", good * 200 + '{"url": \n[1]\n{"url": 5.5}\n' + good)
    settings.check()
    rows = list(read_table(path, settings))
    assert [r.url for r in rows] == ["u"] * 200 + ["", "", "", "u"]
    assert len(rows) == 204
    path, settings = table(tmp_path / "x.csv", "url,caption\n" + "u,c\n" * 200 + "u,c,d\nu,c\n")
    assert [r.url for r in read_table(path, settings)] == ["u"] * 200 + ["", "u"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.csv", "", ["no rows"]),
        ("x.csv", "url,caption\n", ["no rows"]),
        ("x.jsonl", "\n", ["no rows"]),
        ("x.csv", "image_url,caption\nu,c\n", ['"url"', 'collect.tables.url to "image_url"']),
        ("x.csv", "url,TEXT\nu,c\n", ['"caption"', 'collect.tables.caption to "TEXT"']),
        ("x.csv", "url,x\nu,c\n", ['"caption"', '"x"', "null"]),
        ("x.csv", "url;caption\nu;c\n", ['separator to ";"']),
        ("x.csv", "http://e.org/a.jpg,c\n", ["collect.tables.columns"]),
        ("x.csv", "url,url,caption\nu,v,c\n", ["2 columns", "rename"]),
        ("x.csv", "url,caption\nu\n", ["row 1", "as many values"]),
        ("x.jsonl", '{"URL": "u"}\n', ['"URL"']),
        ("x.jsonl", "[1, 2]\n", ["row 1", "JSON object"]),
        ("x.jsonl", '[\n{"url": "u"}\n]\n', ["row 1", "JSON object"]),
        ("x.dat", "url\n", ["unknown ending", "collect.tables.format"]),
        ("x.csv.gz", gzip.compress(CSV.encode())[:40], ["cut off"]),
        ("x.csv.gz", b"\x1f\x8b" + b"x" * 40, ["broken"]),
        ("x.csv.zst", zstandard.compress(CSV.encode())[:4] + b"xxxx" * 9, ["broken"]),
        ("x.parquet", b"PAR1" + b"x" * 100, ["broken", "get it again"]),
        ("x.parquet", b"", ["broken"]),
    ],
)
def test_a_bad_table_is_refused_with_the_remedy(tmp_path, name, data, words):
    message = error(*table(tmp_path / name, data))
    assert [word for word in words if word not in message] == []


def test_a_parquet_file_with_wrong_types_is_refused(tmp_path):
    message = error(*parquet(tmp_path / "x.parquet", {"url": [1], "caption": ["c"]}))
    assert '"url" holds int64' in message
    assert '"caption" holds list' in error(*parquet(tmp_path / "x.parquet", {"url": ["u"], "caption": [[1]]}))


def test_a_missing_extra_column_is_refused(tmp_path):
    assert '"score"' in error(*table(tmp_path / "x.csv", CSV, extra=["score"]))
    assert '"key"' in error(*parquet(tmp_path / "x.parquet", {"url": ["u"], "caption": ["c"]}, source_uid="key"))


def test_a_parquet_file_that_breaks_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"url": [f"u{i}" * 20 for i in range(20_000)], "caption": ["c"] * 20_000}), path)
    data = bytearray(path.read_bytes())
    data[1_000:9_000] = b"\xff" * 8_000
    path.write_bytes(data)
    with pytest.raises(TableError):
        list(read_table(str(path), TableSource(paths=["x"])))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_canonical_json_is_one_text_for_one_value(value):
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text
    text.encode()


def test_the_page_of_an_image_is_read_where_a_column_has_it(tmp_path):
    rows = {"url": ["u", "v"], "caption": ["x", "y"], "page": [" http://p.example/a ", None]}
    path, settings = parquet(tmp_path / "x.parquet", rows, page_url="page", extra="all")
    assert [(row.page_url, row.extra) for row in read(path, settings)] == [("http://p.example/a", ""), ("", "")]
    assert 'no column "site" (collect.tables.page_url)' in error(
        *parquet(tmp_path / "x.parquet", rows, page_url="site")
    )
