"""Undoes Content-Encoding and Transfer-Encoding of an HTTP answer, live or archived, in linear time. Pure.

RFC 9110 (gzip, deflate), RFC 1952 (gzip members), RFC 7932 (br), RFC 8878 and 9659 (zstd), RFC 9112 (chunked).

One policy, that of browsers:

* a coding that nobody knows is passed over: servers write `utf-8` or `none` there and send the plain body;
* a live body that is not what its label says is broken; in an archive, what is plainly HTML or an image stays as it is,
  because archives keep the label of a coding that their crawler has undone;
* gzip may have several members and zstd several frames, with NULs between and behind the members; other bytes behind
  the last one are ignored;
* `deflate` means zlib's format, and the bare stream where it is not that.
"""

import re
import time
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import brotli
import zstandard

from filters.reasons import Drop, Reason

ACCEPTED = "gzip, deflate, br, zstd"
MAX_CODINGS = 3  # more than one is rare, more than three is an attack
MAX_MEMBERS = 65_536  # of gzip, or frames of zstd. bgzip begins one every 64 KiB, so that 4 GiB stay below it
ZSTD_WINDOW_BYTES = 8 << 20  # RFC 9659: what a server may ask of a client

# What is fed at once doubles from the first piece on: the end of a member costs a copy of what was fed behind it.
FIRST_PIECE_BYTES = 64
PIECE_BYTES = 64 << 10
CAREFUL_PIECE_BYTES = 512  # zstandard has no limit on what comes out at once: of 512 bytes at most 16 MiB

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_NULS = re.compile(rb"\0*")
_ZSTD_FRAME = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or one to be skipped
_PLAIN = (b"<", b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")


class Decoded(NamedTuple):
    """What came out: all of it where `drop` is None, else what comes before the break or the cap."""

    data: bytes
    drop: Drop | None


class _Stream(Protocol):
    """One member of a coded body."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, piece: memoryview, max_length: int, /) -> bytes: ...


class _Coding(NamedTuple):
    """How one coding is undone."""

    open: Callable[[], _Stream]
    next_member: Callable[[bytes, int], int]  # (body, where a member ended) -> where the next begins, or -1
    piece_bytes: int = PIECE_BYTES


class _TakesTooLong(Exception):
    """The budget is used up."""


def decode_content(
    body: bytes, codings: Sequence[str], max_bytes: int, cpu_s: float | None = None, archived: bool = False
) -> Decoded:
    """Undo `codings` (in the order they were applied) on `body`; at most `max_bytes` of each step are kept.

    Broken or cut-off data is BAD_ENCODING, a longer output TOO_MANY_BYTES, both with what came out before.
    `cpu_s`: seconds of this thread's CPU after which a body is given up as BAD_ENCODING; what else the machine does
    costs no body. None where the outcome must not depend on the machine at all.
    """
    until_s = None if cpu_s is None else time.thread_time() + cpu_s
    names = [name for name in (c.strip().lower() for c in codings) if name in _CODINGS]
    if len(names) > MAX_CODINGS:
        return Decoded(b"", Drop(Reason.BAD_ENCODING, len(names), "too many codings"))
    decoded = _capped(body, max_bytes) if not names else Decoded(body, None)
    for number, name in enumerate(reversed(names), 1):
        if not decoded.data:
            break
        try:
            decoded = _undo(decoded.data, name, max_bytes, until_s, archived)
        except _TakesTooLong:
            return Decoded(b"", Drop(Reason.BAD_ENCODING, None, "takes too long to undo"))
        if decoded.drop is not None:  # what is still coded is of no use to anybody
            return decoded if number == len(names) else Decoded(b"", decoded.drop)
    return decoded


def _capped(body: bytes, max_bytes: int) -> Decoded:
    if len(body) > max_bytes:
        return Decoded(body[:max_bytes], Drop(Reason.TOO_MANY_BYTES, max_bytes))
    return Decoded(body, None)


def _undo(body: bytes, name: str, max_bytes: int, until_s: float | None, archived: bool) -> Decoded:
    """One coding undone."""
    for coding in _CODINGS[name]:
        decoded = _members(body, name, coding, max_bytes, until_s)
        if decoded.drop is None or decoded.data:
            return decoded
    if archived and body[:64].lstrip().startswith(_PLAIN):
        return _capped(body, max_bytes)
    return decoded


def _members(body: bytes, name: str, coding: _Coding, max_bytes: int, until_s: float | None) -> Decoded:
    """Every member of a body, fed piece by piece.

    What a piece holds before the damage is lost with it: the member is then read again in small pieces.
    """
    view = memoryview(body)
    parts: list[bytes] = []
    size = begin = members = 0
    careful = False
    while begin >= 0:
        members += not careful
        if members > MAX_MEMBERS:
            return Decoded(b"".join(parts), Drop(Reason.BAD_ENCODING, MAX_MEMBERS, f"{name} has too many members"))
        stream, index, piece_bytes = coding.open(), begin, FIRST_PIECE_BYTES
        mark, size_before = len(parts), size
        failed = False
        while not stream.eof and not failed and index < len(body):
            if until_s is not None and time.thread_time() > until_s:
                raise _TakesTooLong
            piece = view[index : index + piece_bytes]
            try:
                part = stream.decompress(piece, max_bytes + 1 - size)
            except (zlib.error, zstandard.ZstdError, brotli.error):
                failed = True
                continue
            index += len(piece)
            piece_bytes = min(2 * piece_bytes, CAREFUL_PIECE_BYTES if careful else coding.piece_bytes)
            if part:
                parts.append(part)
                size += len(part)
            if size > max_bytes:
                return Decoded(b"".join(parts)[:max_bytes], Drop(Reason.TOO_MANY_BYTES, max_bytes))
        if failed and not careful and coding.piece_bytes > CAREFUL_PIECE_BYTES:
            careful = True
            del parts[mark:]
            size = size_before
            continue
        if failed or not stream.eof:
            data = b"".join(parts)
            return Decoded(data, Drop(Reason.BAD_ENCODING, len(data), f"{name} ends early or is broken"))
        begin = coding.next_member(body, index - len(stream.unused_data))
    return Decoded(b"".join(parts), None)


def unchunk(body: bytes) -> Decoded:
    """The body of a chunked answer; one that is not chunked after all stays as it is."""
    parts: list[bytes] = []
    index = 0
    while size := _CHUNK_SIZE.match(body, index):
        length = int(size.group(1), 16)
        if length == 0:
            return Decoded(b"".join(parts), None)
        parts.append(body[size.end() : size.end() + length])
        index = size.end() + length
        index += 2 if body[index : index + 2] == b"\r\n" else int(body[index : index + 1] == b"\n")
    if not parts and body:
        return Decoded(body, None)
    return Decoded(b"".join(parts), Drop(Reason.BAD_ENCODING, detail="chunked ends early or is broken"))


class _Zstd:
    """A frame. The context is shared: to make one costs thirty times what an empty frame does."""

    def __init__(self, context: zstandard.ZstdDecompressor) -> None:
        self._frame = context.decompressobj()

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data

    def decompress(self, piece: memoryview, max_length: int, /) -> bytes:
        """More than `max_length` may come out, but not much: pieces are small."""
        return self._frame.decompress(piece)


class _Brotli:
    """A stream, which has no members."""

    unused_data = b""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self.eof = False

    def decompress(self, piece: memoryview, max_length: int, /) -> bytes:
        parts = [self._stream.process(bytes(piece), output_buffer_limit=max_length)]
        left = max_length - len(parts[0])
        while left > 0 and not self._stream.is_finished() and not self._stream.can_accept_more_data():
            parts.append(self._stream.process(b"", output_buffer_limit=left))
            left -= len(parts[-1])
        self.eof = self._stream.is_finished()
        return b"".join(parts)


def _next_gzip(body: bytes, end: int) -> int:
    begin = _NULS.match(body, end).end()  # type: ignore[union-attr]
    return begin if body.startswith(b"\x1f\x8b", begin) else -1


def _next_zstd(body: bytes, end: int) -> int:
    return end if _ZSTD_FRAME.match(body, end) else -1


def _no_next(body: bytes, end: int) -> int:
    return -1


def _new_zstd() -> Callable[[], _Stream]:
    context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    return lambda: _Zstd(context)


_GZIP = _Coding(lambda: zlib.decompressobj(wbits=31), _next_gzip)
_ZLIB = _Coding(lambda: zlib.decompressobj(), _no_next)
_RAW = _Coding(lambda: zlib.decompressobj(wbits=-15), _no_next)
_CODINGS: dict[str, tuple[_Coding, ...]] = {  # tried in turn until something comes out
    "gzip": (_GZIP,),
    "x-gzip": (_GZIP,),
    "deflate": (_ZLIB, _RAW),
    "br": (_Coding(_Brotli, _no_next),),
    "zstd": (_Coding(_new_zstd(), _next_zstd, CAREFUL_PIECE_BYTES),),
}
