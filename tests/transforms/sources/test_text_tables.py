"""Text tables of other tools: how they are packed, encoded and quoted, and what a broken row costs: itself."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from helpers.collecting import collected
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from transforms.sources.base import SourceError
from transforms.sources.encodings import guess_encoding
from transforms.sources.tables import TableSource
from transforms.sources.text import TableError

RUSSIAN = ["рыжая лиса бежит по снегу в зимнем лесу", "старый мост через широкую реку на закате",
           "маленькая лодка стоит у деревянного причала", "белая кошка спит на подоконнике у окна"]  # fmt: skip
FRENCH = ["un château au bord de la forêt enneigée", "la vieille église près du marché aux légumes",
          "une fenêtre cassée derrière le théâtre fermé", "le café préféré des étudiants étrangers",
          "une forêt brûlée près de la rivière gelée"]  # fmt: skip
JAPANESE = ["雪の中を走る赤い狐の写真です", "古い橋の上から見た夕日の景色", "港に泊まっている小さな船の写真"]


def rows_of(captions, separator=","):
    return "".join(f"http://e.org/{n}.jpg{separator}{c}\n" for n, c in enumerate(captions))


def csv(captions):
    return "url,caption\n" + rows_of(captions)


def table(path, data, **more):
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    source = TableSource(paths=[str(path)], **more)
    source.check()
    return source


def captions(source):
    found = collected(source)
    assert found.rows_in == len(found.candidates) + found.merged + len(found.rejects)
    return sorted(text for texts in found.texts().values() for text in texts)


# quotes


@pytest.mark.parametrize(
    "caption", ['"Hello" said the fox', '12" vinyl record', '"unbalanced at the start', 'a "b" c"']
)
def test_a_tsv_keeps_its_captions_own_quotes(tmp_path, caption):
    wanted = ["first", caption, "last one here"]
    source = table(tmp_path / "x.tsv", "url\tcaption\n" + rows_of(wanted, "\t"))
    assert captions(source) == sorted(wanted)


def test_quotes_of_a_table_are_a_setting(tmp_path):
    data = 'url\tcaption\nhttp://e.org/0.jpg\t"a fox\tand\na dog"\n'
    assert captions(table(tmp_path / "x.tsv", data, quote='"')) == ["a fox and a dog"]
    data = "url,caption\nhttp://e.org/0.jpg,'a fox, and a dog'\n"
    assert captions(table(tmp_path / "x.csv", data, quote="'")) == ["a fox, and a dog"]
    data = 'url,caption\nhttp://e.org/0.jpg,"a fox\nhttp://e.org/1.jpg,a dog\n'
    assert captions(table(tmp_path / "x.csv", data, quote=None)) == ['"a fox', "a dog"]
    with pytest.raises(ValidationError, match="quote"):
        TableSource(paths=["x"], quote="ab")


def test_a_quote_that_never_closes_costs_its_own_row_alone(tmp_path):
    lines = [f"http://e.org/{n}.jpg,fox number {n}" for n in range(300)]
    lines[7] = 'http://e.org/7.jpg,"fox number 7'
    lines[200] = 'http://e.org/200.jpg,"Hello" said the fox'
    lines[250] = 'http://e.org/250.jpg,"fox, number 250"'
    lines[260] = 'http://e.org/260.jpg,"fox'
    lines[261] = 'number 260"'
    found = collected(table(tmp_path / "x.csv", "url,caption\n" + "\n".join(lines)))
    assert found.reasons == {"row_broken": 1}
    assert "row 8 is broken: a quotation mark that does not close" in found.rejects[0].detail
    assert len(found.candidates) == 298
    texts = found.texts()
    assert texts["http://e.org/200.jpg"] == ['"Hello" said the fox']
    assert texts["http://e.org/250.jpg"] == ["fox, number 250"]
    assert texts["http://e.org/260.jpg"] == ["fox number 260"]


# encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_is_known_by_itself(tmp_path, encoding):
    source = table(tmp_path / "x.csv", csv(RUSSIAN + JAPANESE + ["a plain fox"] * 9).encode(encoding))
    assert set(captions(source)) == {*RUSSIAN, *JAPANESE, "a plain fox"}
    assert bool(source.notes()) == (encoding in ("utf-16-le", "utf-16-be"))  # a guess, which is said


@pytest.mark.parametrize(("encoding", "texts"), [
    ("windows-1251", RUSSIAN), ("koi8-r", RUSSIAN), ("windows-1252", FRENCH), ("cp932", JAPANESE), ("euc-jp", JAPANESE),
])  # fmt: skip
def test_another_encoding_is_guessed_and_said(tmp_path, encoding, texts):
    path = tmp_path / "x.csv"
    source = table(path, csv(texts).encode(encoding))
    assert set(captions(source)) == set(texts)
    (note,) = source.notes()
    assert note.startswith(f"{path}: line 2 is no UTF-8")
    assert "a guess" in note
    assert "collect.tables.encoding" in note
    assert not source.model_copy(update={"encoding": encoding}).notes()


def test_hungarian_is_not_taken_for_western():
    lines = ["egy öreg híd a széles folyó fölött", "a hűséges kutya az erdő szélén fekszik", "őszi fák a tó körül",
             "kisgyerekek játszanak a tengerparton", "két ló legel a zöld mezőn a kerítés mögött"]  # fmt: skip
    assert guess_encoding([line.encode("cp1250") for line in lines]) == "windows-1250"


def test_too_little_is_no_ground_for_a_guess(tmp_path):
    """One byte may be of any alphabet: no caption is better than a wrong one."""
    source = table(tmp_path / "x.csv", csv(["a red fox", "café in the rain"]).encode("latin-1"))
    found = collected(source)
    assert found.reasons == {"caption_broken_text": 1}
    assert list(found.texts().values()) == [["a red fox"]]
    (note,) = source.notes()
    assert "line 3 is no UTF-8" in note
    assert "caption_broken_text" in note
    right = table(tmp_path / "x.csv", csv(["a red fox", "café in the rain"]).encode("latin-1"), encoding="latin-1")
    assert captions(right) == ["a red fox", "café in the rain"]


def test_a_stray_byte_among_utf8_costs_its_own_row(tmp_path):
    data = csv(RUSSIAN * 5).encode() + b"http://e.org/x.jpg,caf\xe9\nhttp://e.org/caf\xe9.jpg,a fox\n"
    found = collected(table(tmp_path / "x.csv", data))
    assert found.reasons == {"caption_broken_text": 1, "row_broken": 1}
    assert {text for texts in found.texts().values() for text in texts} == set(RUSSIAN)


@pytest.mark.parametrize("encoding", ["latin-99", "base64", "rot13", "x\0y"])
def test_an_encoding_that_nobody_knows(encoding):
    with pytest.raises(ValidationError, match="encoding"):
        TableSource(paths=["x"], encoding=encoding)


# packed


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.csv.bz2", "x.CSV.xz", "x.csv.gzip", "x.csv.zst"])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, bytes])
def test_what_is_packed_is_known_by_its_bytes(tmp_path, name, pack):
    assert captions(table(tmp_path / name, pack(csv(RUSSIAN).encode()))) == sorted(RUSSIAN)


def tar_of(data):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("x.csv")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.csv", data)
    return out.getvalue()


def parquet_of(_):
    out = io.BytesIO()
    pq.write_table(pa.table({"url": ["u"]}), out)
    return out.getvalue()


@pytest.mark.parametrize(("name", "make", "says"), [
    ("x.csv.gz", lambda data: gzip.compress(tar_of(data)), "tar archive"), ("x.csv", tar_of, "tar archive"),
    ("x.csv", zip_of, "zip archive"), ("x.csv", parquet_of, "format to parquet"),
    ("x.tar.gz", lambda data: gzip.compress(tar_of(data)), "tar archive"), ("x.tgz", bytes, "tar archive"),
])  # fmt: skip
def test_what_is_no_text_is_refused_by_its_name(tmp_path, name, make, says):
    with pytest.raises(TableError, match=says):
        table(tmp_path / name, make(csv(RUSSIAN).encode()))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_packed_table_that_is_cut_off_is_refused(tmp_path, pack):
    with pytest.raises(TableError, match="broken or cut off"):
        table(tmp_path / "x.csv", pack(csv(RUSSIAN * 50).encode())[:-20])


# rows


@pytest.mark.parametrize("place", [0, 50, 500])
@pytest.mark.parametrize(("name", "broken", "says"), [
    ("x.jsonl", '{"url": "http://e.org/x.jpg", "caption": {"en": "a fox"}}', '"caption" holds an object'),
    ("x.jsonl", '{"url": "http://e.org/x.jpg", "caption": 5}', '"caption" holds a number, not text: 5'),
    ("x.jsonl", '{"url": ["http://e.org/x.jpg"], "caption": "a"}', '"url" holds a list'),
    ("x.jsonl", '{"url": "http://e.org/x.jpg", "caption": "a", "caption": "b"}', 'two values under "caption"'),
    ("x.jsonl", '{"url": "http://e.org/x.jpg", "deep": ' + "[" * 500 + "]" * 500 + "}", '"deep" holds lists'),
    ("x.jsonl", "[1, 2]", "no JSON object"),
    ("x.csv", "http://e.org/x.jpg,a,b", "expected as many values as columns, 2, found 3"),
    ("x.tsv", "http://e.org/x.jpg", "expected as many values as columns, 2, found 1"),
])  # fmt: skip
def test_a_broken_row_is_counted_and_shown_wherever_it_stands(tmp_path, place, name, broken, says):
    good = [json.dumps({"url": f"http://e.org/{n}.jpg", "caption": "a fox"}) for n in range(600)]
    if not name.endswith("jsonl"):
        good = [f"http://e.org/{n}.jpg{',' if name == 'x.csv' else chr(9)}a fox" for n in range(600)]
    header = {"x.csv": ["url,caption"], "x.tsv": ["url\tcaption"]}.get(name, [])
    source = table(tmp_path / name, "\n".join([*header, *good[:place], broken, *good[place:]]), extra="all")
    found = collected(source)
    assert (found.rows_in, len(found.candidates), found.reasons) == (601, 600, {"row_broken": 1})
    assert f"row {place + 1} is broken: " in found.rejects[0].detail
    assert says in found.rejects[0].detail


def test_a_list_of_captions_is_several_captions(tmp_path):
    data = '{"url": "http://e.org/x.jpg", "caption": ["a fox", "a red fox"]}\n'
    assert collected(table(tmp_path / "x.jsonl", data)).texts() == {"http://e.org/x.jpg": ["a fox", "a red fox"]}
    pq.write_table(
        pa.table({"url": ["http://e.org/x.jpg"], "caption": [["a fox", "a red fox"]]}), tmp_path / "x.parquet"
    )
    source = TableSource(paths=[str(tmp_path / "x.parquet")])
    assert collected(source).texts() == {"http://e.org/x.jpg": ["a fox", "a red fox"]}


@pytest.mark.parametrize("extra", ["all", ["tag"]])
@pytest.mark.parametrize("names", [["url", "caption", "tag", "tag"], ["url", "caption", "tag", " tag "]])
def test_two_columns_of_one_name_are_refused_with_their_numbers(tmp_path, names, extra):
    with pytest.raises(TableError, match='2 columns "tag", number 3 and 4'):
        table(tmp_path / "x.csv", ",".join(names) + "\nu,c,1,2\n", extra=extra)
    arrays = [pa.array(["u"]), pa.array(["c"]), pa.array([1]), pa.array([2])]
    pq.write_table(pa.table(arrays, names=[name.strip() for name in names]), tmp_path / "x.parquet")
    with pytest.raises(TableError, match='2 columns "tag", number 3 and 4'):
        TableSource(paths=[str(tmp_path / "x.parquet")], extra=extra).check()


def test_columns_without_a_name_are_kept_under_their_number(tmp_path):
    source = table(tmp_path / "x.csv", "url,caption,,\nhttp://e.org/0.jpg,a fox,1,\n", extra="all")
    assert collected(source).candidates[0].extra == '{"column_3":"1","column_4":""}'


def test_parts_without_rows_are_fine_and_a_table_without_any_is_refused(tmp_path):
    schema = pa.schema({"url": pa.string(), "caption": pa.string()})
    pq.write_table(pa.table({"url": ["http://e.org/0.jpg"], "caption": ["a fox"]}, schema), tmp_path / "1.parquet")
    pq.write_table(schema.empty_table(), tmp_path / "2.parquet")
    pq.write_table(pa.table({}), tmp_path / "3.parquet")
    (tmp_path / "4.parquet").write_bytes(b"")
    (tmp_path / "5.csv").write_text("url,caption\n")
    (tmp_path / "6.csv").write_bytes(b"")
    source = TableSource(paths=[str(tmp_path / "*")])
    source.check()
    assert captions(source) == ["a fox"]
    assert [note.partition(":")[0] for note in source.notes()] == [str(tmp_path / "4.parquet"), str(tmp_path / "6.csv")]
    (tmp_path / "1.parquet").unlink()
    with pytest.raises(TableError, match="none of the 5 tables has a row"):
        source.check()


@pytest.mark.parametrize("column", [pa.array([b"ok", b"caf\xe9"]).view(pa.string()), pa.array([b"ok", b"caf\xe9"])])
@pytest.mark.parametrize("name", ["url", "caption"])
def test_undecodable_parquet_is_one_broken_row(tmp_path, name, column):
    columns = {"url": pa.array(["http://e.org/0.jpg", "http://e.org/1.jpg"]), "caption": pa.array(["a fox", "a dog"])}
    pq.write_table(pa.table(columns | {name: column}), tmp_path / "x.parquet")
    source = TableSource(paths=[str(tmp_path / "x.parquet")])
    source.check()
    found = collected(source)
    assert found.rows_in == 2
    assert found.reasons["row_broken"] == 1
    assert f'row 2 is broken: "{name}" holds' in next(r for r in found.rejects if r.reason == "row_broken").detail


# anything

PIECES = st.sampled_from([b"url,caption\n", b"url\tcaption\n", b"http://e.org/a.jpg", b"http://e.org/b.jpg", b",", b"\t",
                          b"a fox", b'"', b"\n", b"\r\n", b"\r", b"\0", b"\xe9", b"\xff\xfe", "рыжая".encode(),
                          b'{"url": "http://e.org/c.jpg", "caption": ["a", 5]}', b"{", b"[[", b"\\ud800", b"\xef\xbb\xbf",
                          b"\x1f\x8b\x08", b"BZh9", b"PAR1", b"\x28\xb5\x2f\xfd"])  # fmt: skip
BYTES = st.binary(max_size=60) | st.lists(PIECES, max_size=40).map(b"".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=BYTES, kind=st.sampled_from(["csv", "tsv", "jsonl", "txt", "parquet"]), good=st.booleans(),
       pack=st.sampled_from([bytes, gzip.compress, bz2.compress]))  # fmt: skip
def test_no_bytes_make_a_reader_raise_and_the_funnel_sums(tmp_path, data, kind, good, pack):
    start = {"csv": b"url,caption\n", "tsv": b"url\tcaption\n"}.get(kind, b"") if good else b""
    path = tmp_path / f"x.{kind}"
    path.write_bytes(pack(start + data))
    source = TableSource(paths=[str(path)], extra="all")
    try:
        source.check()
        source.notes()
        found = collected(source)
    except SourceError:  # a refusal, in words
        return
    assert found.rows_in == len(found.candidates) + found.merged + len(found.rejects)


COLUMN = st.one_of(
    st.lists(st.text(max_size=5) | st.none(), min_size=3, max_size=3).map(pa.array),
    st.lists(st.binary(max_size=5) | st.none(), min_size=3, max_size=3).map(lambda b: pa.array(b, pa.binary()).view(pa.string())),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3).map(lambda n: pa.array(n).view(pa.timestamp("us"))),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3).map(lambda n: pa.array(n).view(pa.timestamp("ns", "UTC"))),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=3, max_size=3).map(lambda n: pa.array(n, pa.int32()).view(pa.date32())),
    st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-999, max_value=999), min_size=3,
             max_size=3).map(pa.array),
    st.lists(st.uuids(), min_size=3, max_size=3).map(
        lambda ids: pa.ExtensionArray.from_storage(pa.uuid(), pa.array([i.bytes for i in ids], pa.binary(16)))),
    st.lists(st.lists(st.text(max_size=3) | st.none(), max_size=2) | st.none(), min_size=3, max_size=3).map(
        lambda v: pa.array(v, pa.list_(pa.string()))),
    st.lists(st.floats() | st.none(), min_size=3, max_size=3).map(lambda v: pa.array(v, pa.float64())),
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    url=COLUMN, caption=COLUMN, more=COLUMN, damage=st.none() | st.tuples(st.integers(0, 3_000), st.binary(max_size=9))
)
def test_no_parquet_makes_a_reader_raise_and_the_funnel_sums(tmp_path, url, caption, more, damage):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"url": url, "caption": caption, "more": more}), path)
    if damage is not None:
        data = path.read_bytes()
        path.write_bytes(data[: damage[0]] + damage[1] + data[damage[0] + len(damage[1]) :])
    source = TableSource(paths=[str(path)], extra="all")
    try:
        source.check()
        found = collected(source)
    except SourceError:  # a refusal, in words
        return
    assert found.rows_in == len(found.candidates) + found.merged + len(found.rejects) >= 3
