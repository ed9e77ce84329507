"""Values of Arrow and JSON as the texts that we keep: one conversion for tables and adopted folders, and a total one.

Every value has one of three ends: it is the text that was asked for, it has a canonical JSON text, or it is a
`BrokenValue` whose words name it. Nothing else is raised, and nothing becomes text by Python's `repr`.
"""

import datetime
import decimal
import json
import math
import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

MAX_DEPTH = 64  # of lists and objects inside each other; Python's own limit depends on who calls
MAX_INT_BITS = 10_000  # Python refuses to write out ints of more than 4,300 digits
SHOWN_CHARACTERS = 80  # of a broken value
# What Arrow raises over single values: bad UTF-8, years beyond 9999, time zones that nobody knows.
_UNREADABLE = (pa.ArrowException, ValueError, ArithmeticError, TypeError, LookupError)


class BrokenValue(ValueError):
    """A value or a row that cannot be used; the message says what it is. It stands in a row in the value's place."""


def text_of(value: Any) -> str:
    """A value that should be text; "" where there is none (null, and NaN, as pandas writes it). Raises BrokenValue."""
    if isinstance(value, str):
        return _without_surrogates(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BrokenValue(f"bytes that are no UTF-8: {shown(value)}") from error
    if isinstance(value, BrokenValue):
        raise value
    raise BrokenValue(f"{_kind(value)}, not text: {shown(value)}")


def captions_of(value: Any) -> list[str]:
    """The texts of a caption: of a list of texts each once, else one; [""] where there is none. Raises BrokenValue."""
    if not isinstance(value, list | tuple):
        return [text_of(value)]
    texts = dict.fromkeys(text_of(part) for part in value)
    return [text for text in texts if text.strip()] or [""]


def name_of(value: Any) -> str:
    """The text of what names something: numbers and UUIDs are fine too. Raises BrokenValue."""
    if value is None or isinstance(value, str | bytes | float):
        number = isinstance(value, float) and math.isfinite(value)
        return canonical_json(value) if number else text_of(value)
    plain = _plain(value)
    return plain if isinstance(plain, str) else canonical_json(plain)


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN (null, as JSON has none), dates as ISO 8601, bytes in hex,
    decimals and UUIDs as their text. Raises BrokenValue."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise BrokenValue(f"lists or objects nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_without_surrogates(str(k)): _plain(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, depth + 1) for v in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal | datetime.timedelta | uuid.UUID):
        return str(value)
    if isinstance(value, BrokenValue):
        raise value
    if value is None or (isinstance(value, int) and value.bit_length() <= MAX_INT_BITS):
        return value
    if hasattr(value, "item"):  # numpy's half floats, which older versions of Arrow hand out
        return _plain(value.item(), depth + 1)
    raise BrokenValue(f"{_kind(value)} that has no text")


def _without_surrogates(text: str) -> str:
    """Lone surrogates, which JSON can hold and no file can, become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def shown(value: Any) -> str:
    """The beginning of a value, for a person."""
    if isinstance(value, bytes):
        text = value[:SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
    elif isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        text = f"a number of {value.bit_length()} bits"
    else:
        try:
            text = value if isinstance(value, str) else canonical_json(value)
        except BrokenValue as error:
            text = str(error)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float | decimal.Decimal):
        return "a number"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else f"a value of type {type(value).__name__}"


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises BrokenValue: no JSON, too deep, or an object with two values under one key."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=lambda _: None)
    except BrokenValue:
        raise
    except (ValueError, RecursionError) as error:
        raise BrokenValue(f"no JSON ({error}): {shown(text)}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise BrokenValue(f'an object with two values under "{shown(twin)}"')
    return found


def rows_of(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows of a batch as plain values by column; a value that cannot be read is a BrokenValue in its place."""
    names = batch.schema.names
    for values in zip(*map(_values_of, batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def _values_of(column: pa.Array) -> list[Any]:
    """Whole columns where that can go well, which is thirty times as fast as value by value."""
    try:
        if _is_plain(column.type):
            return column.to_pylist()
        if pa.types.is_temporal(column.type):
            values = column.cast(_type_of_text(column.type)).to_pylist()
            if not any(isinstance(v, str) and v.startswith("<") for v in values):  # <value out of range: ...>
                return values
    except _UNREADABLE:
        pass  # one value is to blame: it is found below
    return [_value_of(scalar) for scalar in column]


def _value_of(scalar: pa.Scalar) -> Any:
    try:
        return _python(scalar)
    except _UNREADABLE as error:
        return error if isinstance(error, BrokenValue) else BrokenValue(f"a {scalar.type} that cannot be read: {error}")


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow gives such values as Python's own, with nothing lost."""
    types = pa.types
    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_plain(kind.value_type)
    if types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return len({f.name for f in fields}) == len(fields) and all(_is_plain(f.type) for f in fields)
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_floating,
             types.is_boolean, types.is_null, types.is_binary, types.is_large_binary, types.is_binary_view,
             types.is_fixed_size_binary, types.is_decimal)  # fmt: skip
    return any(is_kind(kind) for is_kind in tests)


def _python(scalar: pa.Scalar) -> Any:
    """One value of any type, from the outside in."""
    kind, types = scalar.type, pa.types
    if not scalar.is_valid:
        return None
    if isinstance(kind, pa.BaseExtensionType):
        stored = _python(scalar.value)
        return str(uuid.UUID(bytes=stored)) if kind.extension_name == "arrow.uuid" else stored
    if types.is_dictionary(kind) or types.is_union(kind):
        return _python(scalar.value)
    if types.is_map(kind):
        return [[_python(pair[0]), _python(pair[1])] for pair in scalar.values]
    if types.is_struct(kind):
        names = [kind.field(index).name for index in range(kind.num_fields)]
        values = [_python(scalar[index]) for index in range(kind.num_fields)]
        pairs = list(zip(names, values, strict=True))
        return dict(pairs) if len(set(names)) == len(names) else [list(pair) for pair in pairs]
    if types.is_nested(kind):
        return [_python(part) for part in scalar.values]
    if types.is_temporal(kind) and not types.is_interval(kind):
        return _time_text(scalar)
    return scalar.as_py()


def _time_text(scalar: pa.Scalar) -> Any:
    """A time as Arrow writes it; its number with the unit where that has no year of four digits."""
    kind, types = scalar.type, pa.types
    if types.is_timestamp(kind) and kind.tz is not None:
        try:
            text = scalar.cast(pa.string()).as_py()
        except pa.ArrowException:  # a zone that this machine does not know
            text = scalar.cast(pa.timestamp(kind.unit)).cast(pa.string()).as_py() + "Z"
    else:
        text = scalar.cast(_type_of_text(kind)).as_py()
    if not isinstance(text, str) or not text.startswith("<"):
        return text
    unit = "d" if types.is_date32(kind) else "ms" if types.is_date64(kind) else kind.unit
    return f"{scalar.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).as_py()} {unit}"


def _type_of_text(kind: pa.DataType) -> pa.DataType:
    """Times become text, because Python's own hold no nanoseconds; a duration is a number of its unit."""
    return pa.int64() if pa.types.is_duration(kind) else pa.string()
