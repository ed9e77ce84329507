"""What another tool has fetched, or failed to fetch, before us: no request is made for it."""

import io
import json
import re
import tarfile
from functools import lru_cache
from typing import Any

import pyarrow.parquet as pq

from filters.reasons import Drop, Reason
from transforms import storage
from transforms.records import Image, Source

IMAGE_ENDINGS = frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "avif"})
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
    body, sidecar = b"", b"{}"
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                ending = member.name.partition(".")[2].lower()
                file = tar.extractfile(member)
                if file is not None and ending in IMAGE_ENDINGS:
                    body = file.read()
                elif file is not None and ending == "json":
                    sidecar = file.read()
        facts = json.loads(sidecar)
    except (tarfile.TarError, ValueError) as error:
        return Drop(Reason.STORED_RANGE_UNREADABLE, None, type(error).__name__)
    return body, facts if isinstance(facts, dict) else {}


def with_facts(image: Image, facts: dict[str, Any]) -> Image:
    """What the sidecar knows of the bytes that were fetched; of those that are stored our row knows better."""
    known: dict[str, Any] = {
        name: facts[name] for name in ("original_width", "original_height") if isinstance(facts.get(name), int)
    }
    if isinstance(facts.get("sha256"), str) and len(facts["sha256"]) == 64:
        known["sha256"] = facts["sha256"]
    return image._replace(**known)


def read_failure(source: Source) -> tuple[str, str, Drop]:
    """(status, error_message, drop) of a row of img2dataset's table. Raises StorageError."""
    status, message = _failures(source.path)[source.offset]
    return status, message, drop_of_message(status, message)


@lru_cache(4)
def _failures(path: str) -> list[tuple[str, str]]:
    with storage.open_for_reading(path) as file:
        table = pq.ParquetFile(file).read(["status", "error_message"])
    return [(row["status"], row["error_message"] or "") for row in table.to_pylist()]


def drop_of_message(status: str, message: str) -> Drop:
    """Our reason for another tool's failure. A name that its resolver did not find may well be there."""
    found = _STATUS.search(message)
    if found is not None:
        return Drop(Reason.HTTP_STATUS, int(found[1]), message)
    for words, reason in _MESSAGES:
        if words.lower() in message.lower():
            return Drop(reason, None, message)
    return Drop(Reason.DECODE_FAILED if status == "failed_to_resize" else Reason.CONNECT_FAILED, None, message)
