"""Tars and sidecars of other tools: what makes a sample, what is damage, and that nothing of it goes without a count."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.collecting import collected
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters.reasons import Drop
from transforms.fetch.adopted import read_failure, read_sample, with_facts
from transforms.fetch.rows import fetched_row
from transforms.formats.tar import Gap, Member, read_tar
from transforms.formats.webdataset import image_ending, sample_name, side_ending
from transforms.records import FAILED, SAMPLE
from transforms.sources.adopt import AdoptError, AdoptSource
from transforms.sources.base import SourceError
from transforms.storage import StorageError
from transforms.web.client import no_answer


def tar_of(members, form=tarfile.PAX_FORMAT):
    """A tar of (name, payload); a name that ends with / is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.size = len(data)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sample(key, text="a red fox number", image="jpg"):
    return [(f"{key}.{image}", f"image {key}".encode()), (f"{key}.txt", f"{text} {key[-1]}".encode())]


def folder(tmp_path, data, table=None, name="00000.tar"):
    (tmp_path / name).write_bytes(data)
    if table is not None:
        table = table if isinstance(table, pa.Table) else pa.Table.from_pylist(table)
        pq.write_table(table, (tmp_path / name).with_suffix(".parquet"))
    source = AdoptSource(folder=str(tmp_path))
    source.check()
    return source


def sums(found):
    assert found.rows_in == len(found.candidates) + found.merged + len(found.rejects)
    return found


def adopted(source):
    """key → (caption, bytes of the image) of what can be fetched."""
    found = sums(collected(source))
    rows = [(c.source_uid, c.captions[0].text, read_sample(c.source)) for c in found.candidates]
    return {key: (text, answer[0].decode()) for key, text, answer in rows if not isinstance(answer, Drop)}


THREE = {f"00000{n}": (f"a red fox number {n}", f"image 00000{n}") for n in range(3)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("before", ["./", "", "/", ".//"])
def test_a_leading_dot_is_no_part_of_a_key(tmp_path, before, form):
    members = [("./", b""), *(m for key in THREE for m in sample(key))]
    data = tar_of([members[0], *((before + name, data) for name, data in members[1:])], form)
    assert adopted(folder(tmp_path, data)) == THREE


def test_keys_end_at_the_first_dot_of_the_base_name(tmp_path):
    data = tar_of([m for n in range(3) for m in sample(f"train.v1/00000{n}")])
    assert list(adopted(folder(tmp_path, data))) == [f"train.v1/00000{n}" for n in range(3)]


@pytest.mark.parametrize(("name", "is_named"), [
    ("a.jpg", ("a", "jpg")), ("./x.y/a.seg.PNG", ("x.y/a", "seg.png")), ("a", None), (".hidden", None), ("x/.jpg", None),
    ("a.", None), ("._a.jpg", None), ("x/._a.jpg", None), ("__meta__.json", None), ("__url__/a.jpg", None),
    ("__MACOSX/a.jpg", None), ("PaxHeader/a.jpg", None), ("x/PaxHeaders.123/a.jpg", None), ("a__b__.jpg", ("a__b__", "jpg")),
    ("", None), ("../a.jpg", ("../a", "jpg")),
])  # fmt: skip
def test_names(name, is_named):
    assert sample_name(name) == is_named


def test_what_archivers_leave_is_no_sample(tmp_path):
    data = tar_of([("__meta__.json", b"{}"), ("__MACOSX/._000000.jpg", b"x"), *(
        m for key in THREE for name, payload in sample(key)
        for m in [(f"._{name}", b"\0\5\x16\7 resource fork"), (f"PaxHeaders.7/{name}", b"30 mtime=1"), (name, payload)]
    )])  # fmt: skip
    source = folder(tmp_path, data)
    assert adopted(source) == THREE
    assert collected(source).rejects == []


def test_members_of_a_sample_may_lie_apart(tmp_path):
    members = [m for key in THREE for m in sample(key)]
    data = tar_of(sorted(members, key=lambda m: m[0].rpartition(".")[2]))
    assert adopted(folder(tmp_path, data)) == THREE


def test_tars_that_were_joined_keep_every_sample(tmp_path):
    """`cat a.tar b.tar`: an end mark in the middle, and the same keys behind it."""
    data = tar_of(sample("000000", "a cat")) + tar_of(sample("000000", "a dog"))
    found = sums(collected(folder(tmp_path, data)))
    assert sorted(c.captions[0].text for c in found.candidates) == ["a cat 0", "a dog 0"]


def test_the_text_beside_the_image_is_its_caption():
    endings = ["seg.png", "b.txt", "a.jpg", "a.txt", "txt"]
    assert image_ending(["seg.png", "jpg"]) == "jpg"
    assert image_ending(endings[1:]) == "a.jpg"
    assert side_ending(["b.txt", "a.jpg", "a.txt"], "txt") == "a.txt"
    assert side_ending(["jpg", "json"], "txt") is None


def test_a_file_without_an_ending_is_counted(tmp_path):
    found = sums(collected(folder(tmp_path, tar_of([("README", b"hello"), *sample("000000")]))))
    assert found.reasons == {"row_broken": 1}
    assert "README has no ending" in found.rejects[0].detail


# damage


def broken_at(data, place):
    """A header whose sum is wrong."""
    return data[: place + 150] + b"\xff\xff\xff" + data[place + 153 :]


def header_of(data, name):
    return next(m.offset for m in read_tar(io.BytesIO(data)) if isinstance(m, Member) and m.name == name)


@pytest.mark.parametrize("name", ["000001.jpg", "000001.txt"])
def test_a_broken_header_costs_its_member_and_is_counted(tmp_path, name):
    data = tar_of([m for n in range(5) for m in sample(f"00000{n}")])
    with tarfile.open(fileobj=io.BytesIO(broken_at(data, header_of(data, name)))) as tar:
        assert len(tar.getnames()) < 4  # Python's own reader ends here, without a word
    source = folder(tmp_path, broken_at(data, header_of(data, name)))
    found = sums(collected(source))
    assert found.lost() == (1024, 1)
    assert {f"00000{n}" for n in (0, 2, 3, 4)} <= {c.source_uid for c in found.candidates}
    assert [p.reason for p in found.pages if p.lost_members] == ["archive_broken"]


@pytest.mark.parametrize(("change", "lost"), [
    (lambda data: data[:1_540], (516, 1)),  # cut off within a payload
    (lambda data: data[:1536] + b"x" * 777 + data[1536:], (777, 1)),  # bytes that are in no block
    (lambda data: data[:1536] + data[1700:], (860, 1)),  # bytes that are missing
    (lambda data: data + b"junk" * 300, (1200, 1)),
    (lambda data: data, (0, 0)),
])  # fmt: skip
def test_damage_is_counted_by_the_byte(tmp_path, change, lost):
    data = tar_of([m for n in range(5) for m in sample(f"00000{n}")])
    found = sums(collected(folder(tmp_path, change(data))))
    assert found.lost() == lost


@pytest.mark.parametrize(("name", "data", "says"), [
    ("a.tar", b"no tar at all" * 100, "broken or cut off"), ("a.tar", b"\x1f\x8b\x08\0\0\0", "compressed tar"),
    ("a.tar.gz", b"\x1f\x8b\x08\0\0\0", "decompress it first"), ("a.tgz", b"x", "compressed tar"),
])  # fmt: skip
def test_what_is_no_tar_is_refused_before_any_work(tmp_path, name, data, says):
    with pytest.raises(AdoptError, match=says):
        folder(tmp_path, data, name=name)


# sidecars


def with_json(tmp_path, sidecar, text=b"a red fox"):
    text = [] if text is None else [("0.txt", text)]
    raw = sidecar if isinstance(sidecar, bytes) else json.dumps(sidecar).encode()
    return sums(collected(folder(tmp_path, tar_of([("0.jpg", b"image"), ("0.json", raw), *text]))))


@pytest.mark.parametrize(("sidecar", "captions", "extra"), [
    ({"caption": ["a fox", "a red fox"]}, ["a fox", "a red fox"], ""),
    ({"caption": None, "url": None}, ["a red fox"], ""),
    (b'{"caption": NaN, "score": NaN}', ["a red fox"], '{"score":null}'),
    ([{"box": [1, 2]}], ["a red fox"], '{"json":[{"box":[1,2]}]}'),
    ("text", ["a red fox"], '{"json":"text"}'),
    (b"", ["a red fox"], ""), (b"\xef\xbb\xbf{}", ["a red fox"], ""),
])  # fmt: skip
def test_a_sidecar_of_any_kind_is_adopted(tmp_path, sidecar, captions, extra):
    found = with_json(tmp_path, sidecar)
    (candidate,) = found.candidates
    assert (sorted(c.text for c in candidate.captions), candidate.extra, found.rejects) == (captions, extra, [])


@pytest.mark.parametrize(("sidecar", "says"), [
    ({"caption": {"en": "a fox"}}, "an object"), ({"caption": 5}, "a number"), ({"caption": ["a", 5]}, "a number"),
    ({"url": ["http://e.org/"]}, "a list"), (b"[" * 100_000, "no JSON"), (b"{", "no JSON"),
    ({"x": json.loads("[" * 100 + "]" * 100)}, "nested"), (b'{"a": 1, "a": 2}', "two values"),
    (b"[" + b" " * 1_100_000 + b"]", "more than any text"),
])  # fmt: skip
def test_a_broken_sidecar_is_one_row_that_is_counted_and_shown(tmp_path, sidecar, says):
    found = with_json(tmp_path, sidecar)
    assert (found.candidates, found.reasons) == ([], {"row_broken": 1})
    assert found.rejects[0].detail.startswith("sample 0 is broken: ")
    assert says in found.rejects[0].detail


def test_an_undecodable_caption_is_dropped_by_name(tmp_path):
    assert with_json(tmp_path, {}, b"caf\xe9 in the rain").reasons == {"caption_broken_text": 1}


@pytest.mark.parametrize(("facts", "known"), [
    ({"original_width": 900, "original_height": 600, "sha256": "A" * 64}, (900, 600, "a" * 64)),
    ({"original_width": True, "original_height": 2**40, "sha256": "x" * 64}, (None, None, None)),
    ({"original_width": -5, "original_height": "600", "sha256": ["a"]}, (None, None, None)),
])  # fmt: skip
def test_facts_of_a_sidecar_fit_their_columns(tmp_path, facts, known):
    (candidate,) = with_json(tmp_path, facts).candidates
    answer = read_sample(candidate.source)
    row = with_facts(fetched_row(candidate, no_answer(""), Drop("x")).image._replace(sha256=None), answer[1])
    assert (row.original_width, row.original_height, row.sha256) == known


# tables beside tars


@pytest.mark.parametrize("table", [b"", b"PAR1" + b"x" * 99, b"no parquet"])
def test_a_table_that_cannot_be_read_is_said_and_the_tar_adopted(tmp_path, table):
    data = tar_of([m for key in THREE for m in sample(key)])
    (tmp_path / "00000.parquet").write_bytes(table)
    source = folder(tmp_path, data)
    assert adopted(source) == THREE
    (note,) = source.notes()
    assert note.startswith(f"{tmp_path / '00000.parquet'}: the table cannot be read")
    assert "the tar alone is adopted" in note
    assert collected(source).lost() == (0, 1)


@pytest.mark.parametrize("key", ["000001", 1])
def test_rows_that_the_tar_does_not_hold_are_failures(tmp_path, key):
    rows = [{"key": key, "url": "http://e.org/1.jpg", "caption": "one fox", "status": "success", "error_message": None},
            {"key": 7 if key == 1 else "000007", "url": "http://e.org/7.jpg", "caption": "a fox", "status": "success",
             "error_message": None},
            {"key": None, "url": "http://e.org/8.jpg", "caption": "a dog", "status": "odd", "error_message": "HTTP Error 404"}]  # fmt: skip
    found = sums(collected(folder(tmp_path, tar_of(sample("000001")), rows)))
    kinds = {c.url: c.source.encoding for c in found.candidates}
    assert kinds == {"http://e.org/1.jpg": SAMPLE, "http://e.org/7.jpg": FAILED, "http://e.org/8.jpg": FAILED}
    failures = {c.url: read_failure(c.source) for c in found.candidates if c.source.encoding == FAILED}
    assert {url: (f[0], str(f[2].reason)) for url, f in failures.items()} == {
        "http://e.org/7.jpg": ("failed_to_download", "stored_range_unreadable"),
        "http://e.org/8.jpg": ("failed_to_download", "http_status"),
    }


@pytest.mark.parametrize("table", [
    pa.table({"url": ["http://e.org/0.jpg"]}), pa.table({"key": [[1]], "caption": ["x"]}), pa.table({"key": ["0"]}),
    pa.table({"key": ["000000"], "caption": pa.array([b"caf\xe9"]).view(pa.string())}),
    pa.table({"key": ["000000"], "status": [5], "caption": [{"x": 1}]}), pa.table({}),
    pa.table([["000000"], ["a"], ["b"]], names=["key", "x", "x"]),
    pa.table({"key": ["x"], "status": ["failed_to_download"], "url": ["http://e.org/0.jpg"], "caption": ["a fox"]}),
], ids=range(8))  # fmt: skip
def test_a_table_of_any_shape_beside_a_tar(tmp_path, table):
    found = sums(collected(folder(tmp_path, tar_of(sample("000000")), table)))
    assert found.rows_in >= 1
    assert set(found.reasons) <= {"row_broken"}
    for candidate in found.candidates:
        assert (read_failure if candidate.source.encoding == FAILED else read_sample)(candidate.source)


# anything

NAMES = st.sampled_from(["a.jpg", "a.txt", "a.json", "./b.jpg", "b.txt", "b.json", "x/c.jpg", "x/c.txt", "README", "._a.jpg",
                         "d/", "é" * 60 + ".jpg", "a.b.jpg", "x" * 120 + ".txt"])  # fmt: skip
PAYLOADS = st.sampled_from([b"", b"a red fox", b'{"caption": ["a", "b"]}', b'{"caption": 5}', b"{", b"caf\xe9", b"\0" * 600,
                            b"x" * 1_500, b'{"url": "http://e.org/a.jpg", "caption": "a fox"}'])  # fmt: skip
DAMAGE = st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 700), st.binary(max_size=700)), max_size=3)
TARS = st.tuples(st.lists(st.tuples(NAMES, PAYLOADS), max_size=9),
                 st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))  # fmt: skip


def damaged(data, damage):
    for begin, length, instead in damage:
        data = data[:begin] + instead + data[begin + length :]
    return data


def made(members, form):
    return tar_of([(name if form != tarfile.USTAR_FORMAT else name.replace("é" * 60, "é" * 40)[:90], data if name != "d/" else b"")
                   for name, data in members], form)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(tar=TARS, damage=DAMAGE)
def test_members_and_gaps_cover_a_tar_in_order(tar, damage):
    data = damaged(made(*tar), damage)
    end = 0
    for found in read_tar(io.BytesIO(data)):
        begin = found.begin if isinstance(found, Gap) else found.offset
        assert begin >= end
        between = data[end:begin]  # end marks, folders and what else holds no payload
        assert isinstance(found, Gap) or not between.strip(b"\0") or b"ustar" in between
        end = found.end
    rest = data[end:]
    assert not rest.strip(b"\0") or b"ustar" in rest
    if not damage:
        with tarfile.open(fileobj=io.BytesIO(data)) as read:
            wanted = [(m.name, m.offset_data, m.size) for m in read if m.isreg()]
        found = list(read_tar(io.BytesIO(data)))
        assert [(m.name, m.data, m.size) for m in found if isinstance(m, Member)] == wanted
        assert not [m for m in found if isinstance(m, Gap)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tar=TARS | st.binary(max_size=3_000), damage=DAMAGE, table=st.none() | st.binary(max_size=40))
def test_no_tar_makes_a_reader_raise_and_the_funnel_sums(tmp_path, tar, damage, table):
    data = tar if isinstance(tar, bytes) else made(*tar)
    (tmp_path / "00000.parquet").unlink(missing_ok=True)
    if table is not None:
        (tmp_path / "00000.parquet").write_bytes(table)
    try:
        source = folder(tmp_path, damaged(data, damage))
        source.notes()
    except SourceError:  # a refusal, in words
        return
    for candidate in sums(collected(source)).candidates:
        try:
            assert read_sample(candidate.source)
        except StorageError:
            assert candidate.source.encoding == FAILED
