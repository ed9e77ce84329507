"""Record types as Parquet: the schema is derived from the type, rows come back as the type."""

import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from transforms import storage
from transforms.records import SCHEMA_VERSION, Int32

R = TypeVar("R")

_PLAIN = {bytes: pa.binary(), str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(),
          Int32: pa.int32()}  # fmt: skip


def schema_of(record_type: type) -> pa.Schema:
    """The Arrow schema of a record type: nested records become structs, tuples become lists, `X | None` is nullable."""
    metadata = {"pairmill.record": record_type.__name__, "pairmill.schema_version": str(SCHEMA_VERSION)}
    return pa.schema(_fields(record_type), metadata=metadata)


def _fields(record_type: type) -> list[pa.Field]:
    return [_field(name, hint) for name, hint in get_type_hints(record_type, include_extras=True).items()]


def _field(name: str, hint: Any) -> pa.Field:
    if get_origin(hint) in (types.UnionType, Union):
        inner = next(a for a in get_args(hint) if a is not type(None))
        return pa.field(name, _arrow_type(inner), nullable=True)
    return pa.field(name, _arrow_type(hint), nullable=False)


def _arrow_type(hint: Any) -> pa.DataType:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) is tuple:
        return pa.list_(pa.field("item", _arrow_type(get_args(hint)[0]), nullable=False))
    return pa.struct(_fields(hint))


def _plain(value: Any) -> Any:
    """A record as what Arrow takes: dicts for records, lists for tuples."""
    if hasattr(value, "_fields"):
        return {name: _plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def table_of(record_type: type, rows: Sequence[Any]) -> pa.Table:
    """Rows of one record type as an Arrow table."""
    schema = schema_of(record_type)
    columns = [pa.array([_plain(row[index]) for row in rows], type=field.type) for index, field in enumerate(schema)]
    return pa.Table.from_arrays(columns, schema=schema)


def write_rows(path: str, record_type: type, rows: Sequence[Any], *, keep_first: bool = False) -> None:
    """Publish `rows` whole under `path`. Same rows, same bytes. Raises StorageError."""
    table = table_of(record_type, rows)
    with storage.publishing(path, keep_first=keep_first) as file:
        pq.write_table(table, file, compression="zstd", compression_level=1)


def _reader(hint: Any) -> Any:
    """The function that turns an Arrow value of type `hint` back into Python."""
    if hint in _PLAIN:
        return None
    if get_origin(hint) in (types.UnionType, Union):
        present = _reader(next(a for a in get_args(hint) if a is not type(None)))
        return present and (lambda value: None if value is None else present(value))
    if get_origin(hint) is tuple:
        inner = _reader(get_args(hint)[0])
        return (lambda items: tuple(inner(i) for i in items)) if inner else tuple
    return _record_reader(hint)


def _record_reader(record_type: type) -> Any:
    """A field with a default may be missing: its column came later than the file."""
    readers = [(name, _reader(hint)) for name, hint in get_type_hints(record_type).items()]

    def make(row: dict[str, Any]) -> Any:
        if len(row) >= len(readers):
            return record_type(*(read(row[name]) if read else row[name] for name, read in readers))
        return record_type(**{name: read(row[name]) if read else row[name] for name, read in readers if name in row})

    return make


def read_rows(path: str, record_type: type[R], batch_rows: int = 10_000) -> Iterator[R]:
    """The rows of a file as records, in order, a batch in memory at a time. Raises StorageError."""
    make = _record_reader(record_type)
    with storage.open_for_reading(path) as file, _sound(path):
        for batch in pq.ParquetFile(file).iter_batches(batch_rows):
            yield from map(make, batch.to_pylist())


@contextmanager
def _sound(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise storage.StorageError(f"{path} is not a sound Parquet file: {error}") from error


def batches(path: str, columns: list[str], batch_rows: int = 20_000) -> Iterator[pa.RecordBatch]:
    """Some columns of a file, a batch in memory at a time. Raises StorageError."""
    with storage.open_for_reading(path) as file, _sound(path):
        yield from pq.ParquetFile(file).iter_batches(batch_rows, columns=columns)


def read_columns(path: str, columns: list[str], batch_rows: int = 20_000) -> Iterator[dict[str, Any]]:
    """The rows of a file with only some columns, a batch in memory at a time. Raises StorageError."""
    for batch in batches(path, columns, batch_rows):
        yield from batch.to_pylist()


def rows_where(
    path: str, condition: ds.Expression, columns: list[str] | None = None, schema: pa.Schema | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a file that meet a condition, as dicts: its statistics spare most of the reading."""
    with storage.open_for_reading(path) as file:
        fragment = ds.ParquetFileFormat().make_fragment(file)
        for batch in fragment.to_batches(schema, columns, filter=condition):
            yield from batch.to_pylist()


def read_all(folder: str, pattern: str, record_type: type[R]) -> Iterator[R]:
    """The rows of every file of `folder` that matches, in the order of their names."""
    for name in storage.list_names(folder, pattern):
        yield from read_rows(storage.join(folder, name), record_type)


def count_rows(path: str) -> int:
    with storage.open_for_reading(path) as file:
        return pq.ParquetFile(file).metadata.num_rows
