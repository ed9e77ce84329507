"""Undoes Transfer-Encoding and Content-Encoding of a stored HTTP answer, with a cap on what comes out. Pure.

RFC 9110 (gzip, deflate), RFC 7932 (br), RFC 8878 and 9659 (zstd), RFC 9112 (chunked).
"""

import io
import re
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import brotli
import zstandard

from filters.reasons import Drop, Reason

ZSTD_WINDOW_BYTES = 8 << 20  # RFC 9659: what a server may ask of a client
STEP_BYTES = 1 << 20
MAX_CODINGS = 3  # more than one is rare, more than three is an attack

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_PLAIN = (b"<", b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")  # HTML and images that were decoded already


class Decoded(NamedTuple):
    """What came out: all of it where `drop` is None, else what stands before the break or the cap."""

    data: bytes
    drop: Drop | None


class _Broken(Exception):
    """The stream ends early or is damaged; `args[0]` is what came out before."""


def decode_content(body: bytes, codings: Sequence[str], max_bytes: int) -> Decoded:
    """Undo `codings` (in the order they were applied) on `body`; at most `max_bytes` of each step are kept.

    Archives often keep the header of a coding that their crawler has undone: a body that is plainly something else
    stays as it is.
    """
    names = [name for name in (c.strip().lower() for c in codings) if name not in ("", "identity")]
    if len(names) > MAX_CODINGS:
        return Decoded(b"", Drop(Reason.BAD_ENCODING, len(names), "too many codings"))
    for name in reversed(names):
        decoder = _DECODERS.get(name)
        if decoder is None:
            return Decoded(b"", Drop(Reason.BAD_ENCODING, detail=name[:100]))
        try:
            data = decoder(body, max_bytes + 1)
        except _Broken as error:
            data = error.args[0]
            if not data and body.lstrip()[:8].startswith(_PLAIN):
                continue
            return Decoded(data[:max_bytes], Drop(Reason.BAD_ENCODING, len(data), f"{name} ends early or is broken"))
        if len(data) > max_bytes:
            return Decoded(data[:max_bytes], Drop(Reason.TOO_MANY_BYTES, len(data), name))
        body = data
    if len(body) > max_bytes:
        return Decoded(body[:max_bytes], Drop(Reason.TOO_MANY_BYTES, len(body)))
    return Decoded(body, None)


def unchunk(body: bytes) -> Decoded:
    """The body of a chunked answer; one that is not chunked after all stays as it is."""
    parts: list[bytes] = []
    place = 0
    while size := _CHUNK_SIZE.match(body, place):
        length = int(size.group(1), 16)
        if length == 0:
            return Decoded(b"".join(parts), None)
        parts.append(body[size.end() : size.end() + length])
        place = size.end() + length
        place += 2 if body[place : place + 2] == b"\r\n" else int(body[place : place + 1] == b"\n")
    if not parts and body:
        return Decoded(body, None)
    return Decoded(b"".join(parts), Drop(Reason.BAD_ENCODING, detail="chunked ends early or is broken"))


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = max_bytes
    while body and left > 0:
        stream = zlib.decompressobj(wbits=31)
        parts.append(_inflate(stream, body, left, parts))
        left -= len(parts[-1])
        body = stream.unused_data.lstrip(b"\0")  # padding
        if parts and body and not body.startswith(b"\x1f\x8b"):
            break  # junk behind the last member, which every browser ignores
    return b"".join(parts)


def _inflate(stream: "zlib._Decompress", body: bytes, max_bytes: int, before: Sequence[bytes] = ()) -> bytes:
    parts = []
    try:
        parts.append(stream.decompress(body, max_bytes))
    except zlib.error as error:
        raise _Broken(b"".join(before) + _inflate_prefix(stream, body, max_bytes)) from error
    if not stream.eof and len(parts[0]) < max_bytes:
        raise _Broken(b"".join(before) + parts[0])
    return parts[0]


def _inflate_prefix(stream: "zlib._Decompress", body: bytes, max_bytes: int) -> bytes:
    """What comes out before the damage, found by feeding small pieces."""
    wbits = {b"\x1f\x8b": 31}.get(body[:2], 15)
    fresh, data = zlib.decompressobj(wbits=wbits), b""
    for start in range(0, len(body), 4_096):
        try:
            data += fresh.decompress(body[start : start + 4_096], max_bytes - len(data))
        except zlib.error:
            break
        if len(data) >= max_bytes:
            break
    return data


def _inflate_any(body: bytes, max_bytes: int) -> bytes:
    """ "deflate" is the zlib format; some servers send the bare stream."""
    try:
        return _inflate(zlib.decompressobj(), body, max_bytes)
    except _Broken as error:
        if error.args[0]:
            raise
    return _inflate(zlib.decompressobj(wbits=-15), body, max_bytes)


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    stream = brotli.Decompressor()
    parts: list[bytes] = []
    left, feed = max_bytes, body
    try:
        while left > 0 and not stream.is_finished():
            part = stream.process(feed, output_buffer_limit=min(left, STEP_BYTES))
            feed = b""
            parts.append(part)
            left -= len(part)
            if not part and stream.can_accept_more_data():
                break
    except brotli.error as error:
        raise _Broken(b"".join(parts)) from error
    data = b"".join(parts)[:max_bytes]
    if not stream.is_finished() and len(data) < max_bytes:
        raise _Broken(data)
    return data


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    parts: list[bytes] = []
    left = max_bytes
    try:
        with decoder.stream_reader(io.BytesIO(body), read_across_frames=True) as stream:
            while left > 0 and (part := stream.read(min(left, STEP_BYTES))):
                parts.append(part)
                left -= len(part)
    except zstandard.ZstdError as error:
        raise _Broken(b"".join(parts)) from error
    if left > 0 and not _zstd_is_whole(body, parts):
        raise _Broken(b"".join(parts))
    return b"".join(parts)


def _zstd_is_whole(body: bytes, parts: Sequence[bytes]) -> bool:
    """A stream reader ends a cut-off frame in silence; the frame's own end is what tells."""
    stream = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
    for start in range(0, len(body), 4_096):  # small pieces: what comes out at once stays small
        if stream.eof:
            return True
        stream.decompress(body[start : start + 4_096])
    return bool(stream.eof)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate_any,
    "br": _unbrotli,
    "zstd": _unzstd,
}
