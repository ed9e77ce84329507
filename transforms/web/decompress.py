"""HTTP content codings, undone with a cap on what comes out."""

import zlib
from collections.abc import Callable

import brotli
import zstandard

from filters.reasons import Drop, Reason

ACCEPTED = "gzip, deflate, br, zstd"
MAX_CODINGS = 3  # more than one is rare, more than three is an attack
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024  # RFC 9659: what an HTTP client must support


class Overflow(Exception):
    """The output passed the cap; holds the first `max_bytes` of it."""

    def __init__(self, head: bytes) -> None:
        super().__init__(f"more than {len(head)} bytes")
        self.head = head


class Broken(Exception):
    """The data is not what its coding says, or ends too early."""


def decode_body(body: bytes, encoding: str, max_bytes: int, cut: bool = False) -> bytes | Drop:
    """`body` without its content codings (the value of Content-Encoding), at most `max_bytes`.

    With `cut`, a longer output is cut off there; else it is TOO_MANY_BYTES. Broken data is BAD_ENCODING.
    """
    names = [name for name in (part.strip().lower() for part in encoding.split(",")) if name not in ("", "identity")]
    if len(names) > MAX_CODINGS:
        return Drop(Reason.BAD_ENCODING, len(names), "too many codings")
    for name in reversed(names):
        decoder = _DECODERS.get(name)
        if decoder is None:
            return Drop(Reason.BAD_ENCODING, None, name[:40])
        try:
            body = decoder(body, max_bytes) if body else body
        except Overflow as overflow:
            if not cut:
                return Drop(Reason.TOO_MANY_BYTES, max_bytes)
            body = overflow.head
        except Broken:
            return Drop(Reason.BAD_ENCODING, None, name)
    return body


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """One or several gzip members; other bytes behind them are ignored, as browsers do."""
    out = b""
    while True:
        stream = zlib.decompressobj(wbits=31)
        out += _inflate(stream, body, max_bytes - len(out), out)
        body = stream.unused_data
        if not body.startswith(b"\x1f\x8b"):
            return out


def _inflate_zlib(body: bytes, max_bytes: int) -> bytes:
    """`deflate` means zlib; some servers send the raw stream."""
    try:
        return _inflate(zlib.decompressobj(), body, max_bytes)
    except Broken:
        return _inflate(zlib.decompressobj(wbits=-15), body, max_bytes)


def _inflate(stream: "zlib._Decompress", body: bytes, room: int, before: bytes = b"") -> bytes:
    try:
        out = stream.decompress(body, room + 1)
    except zlib.error as error:
        raise Broken(str(error)) from error
    if len(out) > room:
        raise Overflow(before + out[:room])
    if not stream.eof:
        raise Broken("ends early")
    return out


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    stream = brotli.Decompressor()
    pieces, size = [], 0
    try:
        piece = stream.process(body, output_buffer_limit=max_bytes + 1)
        while piece:
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise Overflow(b"".join(pieces)[:max_bytes])
            piece = b"" if stream.is_finished() else stream.process(b"", output_buffer_limit=max_bytes + 1 - size)
    except brotli.error as error:
        raise Broken(str(error)) from error
    if not stream.is_finished():
        raise Broken("ends early")
    return b"".join(pieces)


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    try:
        out = decompressor.stream_reader(body, read_across_frames=True).read(max_bytes + 1)
        if len(out) > max_bytes:
            raise Overflow(out[:max_bytes])
        _check_zstd_ends(body)
    except zstandard.ZstdError as error:
        raise Broken(str(error)) from error
    return out


def _check_zstd_ends(body: bytes) -> None:
    """The reader does not tell a cut frame from a whole one. The output is known to be small by now."""
    while body:
        stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
        stream.decompress(body)
        if not stream.eof:
            raise Broken("ends early")
        body = stream.unused_data


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate_zlib,
    "br": _unbrotli,
    "zstd": _unzstd,
}
