"""One deterministic, type-preserving Beam coder for every record type.

Beam's own choices are not enough: an unregistered NamedTuple is pickled, and a row-coded one comes back as another
type from a worker process. msgspec keeps nesting, `bytes`, `int | None` and the type itself.
"""

from typing import Any

import msgspec
from apache_beam import coders

from filters.near_duplicate import Member
from transforms import records


class RecordCoder(coders.Coder):
    """Encodes one NamedTuple type as a MessagePack array, field by field in order."""

    def __init__(self, record_type: type) -> None:
        self.record_type = record_type
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(record_type)

    def encode(self, value: Any) -> bytes:
        return self._encoder.encode(value)

    def decode(self, encoded: bytes) -> Any:
        return self._decoder.decode(encoded)

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type:
        return self.record_type

    @classmethod
    def from_type_hint(cls, typehint: type, registry: Any) -> Any:
        return cls(typehint)

    def __reduce__(self) -> tuple[type, tuple[type]]:
        return RecordCoder, (self.record_type,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordCoder) and other.record_type is self.record_type

    def __hash__(self) -> int:
        return hash(self.record_type)


def register(*record_types: type) -> None:
    """Make Beam use the record coder wherever a PCollection is typed with one of `record_types`."""
    for record_type in record_types:
        coders.registry.register_coder(record_type, RecordCoder)


register(*records.ALL, Member)
