"""What another tool has fetched, or failed to fetch, before us: no request is made for it."""

import io
import re
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.reasons import Drop, Reason
from transforms import storage
from transforms.formats.tar import Member, read_tar
from transforms.formats.values import BrokenValue, parse_json, rows_of, text_of
from transforms.formats.webdataset import image_ending, sample_name, side_ending
from transforms.records import Image, Source

SUCCESS, DOWNLOAD_FAILED, RESIZE_FAILED = "success", "failed_to_download", "failed_to_resize"  # img2dataset's
MAX_SIDE = (1 << 31) - 1  # pixels: what the column holds
_STATUS = re.compile(r"HTTP Error (\d{3})")
# What img2dataset writes into `error_message`, in parts: urllib's words, and its own.
_MESSAGES = (
    ("timed out", Reason.TIMEOUT),
    ("X-Robots-Tag", Reason.OPT_OUT),
    ("certificate", Reason.TLS_FAILED),
    ("SSL", Reason.TLS_FAILED),
    ("reset by peer", Reason.CONNECTION_LOST),
    ("Remote end closed", Reason.CONNECTION_LOST),
    ("IncompleteRead", Reason.CONNECTION_LOST),
    ("unknown url type", Reason.URL_INVALID),
    ("no host given", Reason.URL_INVALID),
    ("too small", Reason.IMAGE_TOO_SMALL),
    ("aspect ratio", Reason.ASPECT_TOO_EXTREME),
)


def read_sample(source: Source) -> tuple[bytes, dict[str, Any]] | Drop:
    """(the image's bytes, its sidecar) of a sample's range in a tar. Raises StorageError."""
    data = storage.read_range(source.path, source.offset, source.length)
    members: dict[str, Member] = {}
    for member in read_tar(io.BytesIO(data)):
        named = sample_name(member.name) if isinstance(member, Member) else None
        if named is not None and isinstance(member, Member):
            members.setdefault(named[1], member)
    image, sidecar = image_ending(members), side_ending(members, "json")
    if not members:
        return Drop(Reason.STORED_RANGE_UNREADABLE, None, "no member of a tar")
    return _payload(data, members, image), _facts(_payload(data, members, sidecar))


def _payload(data: bytes, members: dict[str, Member], ending: str | None) -> bytes:
    member = members[ending] if ending is not None else None
    return data[member.data : member.data + member.size] if member is not None else b""


def _facts(sidecar: bytes) -> dict[str, Any]:
    """What a sidecar says; one that cannot be read says nothing of the image."""
    try:
        facts = parse_json(sidecar.decode("utf-8-sig", "replace"))
    except BrokenValue:
        return {}
    return facts if isinstance(facts, dict) else {}


def with_facts(image: Image, facts: dict[str, Any]) -> Image:
    """What the sidecar knows of the bytes that were fetched; of those that are stored our row knows better."""
    known: dict[str, Any] = {
        name: facts[name]
        for name in ("original_width", "original_height")
        if type(facts.get(name)) is int and 0 < facts[name] <= MAX_SIDE
    }
    if isinstance(facts.get("sha256"), str) and re.fullmatch("[0-9a-fA-F]{64}", facts["sha256"]):
        known["sha256"] = facts["sha256"].lower()
    return image._replace(**known)


def read_failure(source: Source) -> tuple[str, str, Drop]:
    """(status, error_message, drop) of a row of img2dataset's table. Raises StorageError."""
    status, message = _failures(source.path)[source.offset]
    if status == SUCCESS:
        drop = Drop(Reason.STORED_RANGE_UNREADABLE, None, "the table has it, the tar beside it does not")
        return DOWNLOAD_FAILED, drop.detail, drop
    return status if status == RESIZE_FAILED else DOWNLOAD_FAILED, message, drop_of_message(status, message)


@lru_cache(4)
def _failures(path: str) -> list[tuple[str, str]]:
    with storage.open_for_reading(path) as file:
        try:
            table = pq.ParquetFile(file)
            names = [name for name in ("status", "error_message") if name in table.schema_arrow.names]
            return [(_words(row.get("status")), _words(row.get("error_message")))
                    for batch in table.iter_batches(columns=names) for row in rows_of(batch)]  # fmt: skip
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise storage.StorageError(f"{path} is not a sound Parquet file any more: {error}") from error


def _words(value: Any) -> str:
    """What a table says of a failure; a value that is no text says nothing."""
    try:
        return text_of(value)
    except BrokenValue:
        return ""


def drop_of_message(status: str, message: str) -> Drop:
    """Our reason for another tool's failure. A name that its resolver did not find may well be there."""
    found = _STATUS.search(message)
    if found is not None:
        return Drop(Reason.HTTP_STATUS, int(found[1]), message)
    for words, reason in _MESSAGES:
        if words.lower() in message.lower():
            return Drop(reason, None, message)
    return Drop(Reason.DECODE_FAILED if status == RESIZE_FAILED else Reason.CONNECT_FAILED, None, message)
