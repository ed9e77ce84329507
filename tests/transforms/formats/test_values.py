"""Every value of Arrow and JSON is text, has a canonical text, or is one broken value."""

import datetime
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.values import (
    BrokenValue,
    canonical_json,
    captions_of,
    name_of,
    parse_json,
    rows_of,
    text_of,  # fmt: skip
)

ID = uuid.UUID(int=7)
BAD = pa.array([b"ok", b"caf\xe9"]).view(pa.string())


def stored(kind, *numbers):
    """Numbers as a type of the same width, as far outside as they may be."""
    return pa.array(numbers, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


def twins():
    return pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])


@pytest.mark.parametrize(("column", "text"), [
    (pa.ExtensionArray.from_storage(pa.uuid(), pa.array([ID.bytes], pa.binary(16))), f'"{ID}"'),
    (pa.array([Decimal("1.50")]), '"1.50"'),
    (stored(pa.timestamp("us"), 2**62), '"4611686018427387904 us"'),
    (stored(pa.timestamp("s"), 253402300800), '"10000-01-01 00:00:00"'),
    (stored(pa.timestamp("us", "Nowhere/City"), 0), '"1970-01-01 00:00:00.000000Z"'),
    (stored(pa.timestamp("ns"), 1_700_000_000_123_456_789), '"2023-11-14 22:13:20.123456789"'),
    (stored(pa.date32(), 10**9), '"1000000000 d"'),
    (stored(pa.date64(), 2**62), '"4611686018427387904 ms"'),
    (stored(pa.time32("s"), 10**6), '"1000000 s"'),
    (stored(pa.duration("ns"), 2**62), "4611686018427387904"),
    (pa.array([[datetime.datetime(2024, 1, 2)]]), '["2024-01-02 00:00:00.000000"]'),
    (pa.array([pa.MonthDayNano([1, 2, 3])]), "[1,2,3]"),
    (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())), '[["a",1]]'),
    (pa.array([1.5], pa.float16()), "1.5"),
    (pa.array([float("nan")]), "null"),
    (pa.array([b"\x00\xff"]), '"00ff"'),
    (pa.array([{"b": 1, "a": None}]), '{"a":null,"b":1}'),
    (twins(), '[["x",1],["x",2]]'),
    (pa.array(["a"]).dictionary_encode(), '"a"'),
], ids=str)  # fmt: skip
def test_an_arrow_value_has_one_text(column, text):
    (row,) = rows_of(pa.RecordBatch.from_arrays([column], names=["x"]))
    assert canonical_json(row["x"]) == text


@pytest.mark.parametrize("column", [
    BAD, pa.ListArray.from_arrays([0, 1, 2], BAD), pa.StructArray.from_arrays([BAD], names=["x"]),
    pa.DictionaryArray.from_arrays(pa.array([0, 1]), BAD),
    pa.array([b"ok", b"\xff"], pa.large_binary()).view(pa.large_string()),
], ids=lambda column: str(column.type))  # fmt: skip
def test_a_value_that_cannot_be_read_breaks_alone(column):
    good, bad = rows_of(pa.RecordBatch.from_arrays([column, pa.array([1, 2])], names=["x", "n"]))
    assert "ok" in canonical_json(good)
    assert isinstance(bad["x"], BrokenValue)
    assert bad["n"] == 2
    with pytest.raises(BrokenValue, match="cannot be read"):
        canonical_json(bad)


@pytest.mark.parametrize(("value", "captions"), [
    ("a fox", ["a fox"]), (None, [""]), (float("nan"), [""]), (b"caf\xc3\xa9", ["café"]), ([], [""]),
    (["a fox", "a red fox", "a fox"], ["a fox", "a red fox"]), (["", None, "a fox"], ["a fox"]), ([None], [""]),
])  # fmt: skip
def test_a_list_of_texts_is_several_captions(value, captions):
    assert captions_of(value) == captions


@pytest.mark.parametrize(("value", "words"), [
    (5, "a number, not text: 5"), (5.5, "a number"), (True, "true or false"), ({"en": "a fox"}, "an object"),
    ([["a fox"]], "a list"), (["a fox", 5], "a number"), (b"caf\xe9", "no UTF-8"), (Decimal("1.5"), "a number"),
    (ID, "UUID"), (10**5000, "a number"), (float("inf"), "a number"),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_what_is_no_text_is_never_its_repr(value, words):
    with pytest.raises(BrokenValue, match=words):
        captions_of(value)


@pytest.mark.parametrize(("value", "name"), [
    (7, "7"), (7.5, "7.5"), (ID, str(ID)), ("x", "x"), (None, ""), (float("nan"), ""), (True, "true"), (["a"], '["a"]'),
])  # fmt: skip
def test_a_name_may_be_a_number(value, name):
    assert name_of(value) == name


@pytest.mark.parametrize(("text", "words"), [
    ("[" * 100_000, "no JSON"), ("{", "no JSON"), ("9" * 5_000, "no JSON"), ("", "no JSON"),
    ('{"a": 1, "a": 2}', 'two values under "a"'), ('{"x": {"b": 1, "b": 2}}', 'under "b"'),
], ids=range(6))  # fmt: skip
def test_what_is_no_json_is_one_broken_value(text, words):
    with pytest.raises(BrokenValue, match=words):
        parse_json(text)


def test_deep_values_are_broken_at_one_depth_whoever_calls():
    for depth, is_fine in ((60, True), (70, False), (400, False)):
        value = parse_json("[" * depth + "]" * depth)
        if is_fine:
            assert canonical_json(value) == "[" * depth + "]" * depth
        else:
            with pytest.raises(BrokenValue, match="nested"):
                canonical_json(value)


def test_lone_surrogates_become_a_sign_that_a_rule_knows():
    value = parse_json('{"\\ud800k": "a \\udfff"}')
    assert canonical_json(value) == '{"\ufffdk":"a \ufffd"}'
    assert text_of("a \ud800") == "a \ufffd"


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.decimals()
    | st.datetimes() | st.dates() | st.times() | st.timedeltas() | st.uuids() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner),
    max_leaves=10,
)  # fmt: skip


@given(ANY)
def test_no_value_raises_anything_else(value):
    for convert in (text_of, captions_of, name_of, canonical_json):
        try:
            result = convert(value)
        except BrokenValue:
            continue
        for text in result if isinstance(result, list) else [result]:
            text.encode()


@given(st.text())
def test_no_text_makes_parsing_raise_anything_else(text):
    try:
        parse_json(text)
    except BrokenValue:
        return
