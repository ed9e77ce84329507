"""Images whose end, or whose frame of chunks, is not as it should be: what of their pixels is there. Pure.

Browsers show a picture whose pixels are all there, whatever its end or its notes beside the pixels look like. What is
made here is a body that a decoder takes, and the share of the picture that its pixels are true for.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from filters.reasons import Drop, Reason
from transforms.formats.image_structure import SOS, jpeg_segments, png_chunks

_EOI = b"\xff\xd9"
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # T.81, table B.1: start of frame, of every process
_PNG_SIGNATURE_BYTES = 8
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type (PNG 11.2.1)
# First column and row of each pass, and its steps (PNG 8.2).
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
MAX_PROFILE_BYTES = 4 << 20  # the largest profiles, of printing presses, end near 3 MB


class Mended(NamedTuple):
    """A body that decoders take to its end."""

    body: bytes
    share: float  # of the picture, 0..1: the rest is whatever a decoder fills in


# JPEG


def with_end(body: bytes) -> bytes:
    """A JPEG whose end-of-image marker is missing, or half of it, with one."""
    return body.rstrip(b"\xff") + _EOI


def mended_jpeg(body: bytes) -> Mended:
    """`body`, which has no end-of-image marker, with one.

    Its data are all there where libjpeg does not miss any before that marker, and where the scans that came bring
    every coefficient to its last bit. A header that cannot be read is a share of 0.
    """
    closed = with_end(body)
    frame, scans = _frame(closed), list(_scans(closed))
    if frame is None:
        return Mended(closed, 0.0)
    progressive, components = frame
    colours = "CMYK" if components == 4 else "GRAY"
    try:
        simplejpeg.decode_jpeg(closed, colours, strict=True)
    except ValueError as error:
        if "premature" not in str(error).lower():
            return Mended(closed, 0.0)
        scans.pop()  # the one that is cut
        if not progressive and not scans:
            pixels = simplejpeg.decode_jpeg(closed, colours, strict=False)[:, :, 0]
            return Mended(closed, filled(pixels, 8))
    begun, finished = (sum(scan[index] for scan in scans) for index in (0, 1))
    return Mended(closed, min(1.0, (begun + finished) / (2 * 64 * components)))


def _frame(body: bytes) -> tuple[bool, int] | None:
    """(whether it is progressive, how many components) of a JPEG; None where its frame is not there."""
    for marker, start, length in jpeg_segments(body):
        if marker in _FRAMES and length >= 8 and start + 8 <= len(body):
            return marker in (0xC2, 0xC6, 0xCA, 0xCE), body[start + 7]
    return None


def _scans(body: bytes) -> Iterator[tuple[int, int]]:
    """(how many coefficients a scan brings the first bits of, the last bit of), of all its components.

    T.81, B.2.3 and G.1.1.1: a scan begins coefficients where its high bit is 0, and ends them where its low bit is.
    """
    for marker, start, length in jpeg_segments(body):
        if marker == SOS and length >= 6 and start + length <= len(body):
            first, last, bits = body[start + length - 3 : start + length]
            count = body[start + 2] * max(0, last - first + 1)
            yield (0 if bits >> 4 else count), (0 if bits & 15 else count)


def filled(pixels: np.ndarray, block: int = 1) -> float:
    """The share of a cut picture (y, x) that comes before its even rest, in rows of blocks; below 1."""
    height, width = pixels.shape
    differs = pixels != pixels[-1, -1]
    rows = np.flatnonzero(differs.any(axis=1))
    if not len(rows):
        return 0.0
    band = int(rows[-1]) // block * block
    across = int(np.flatnonzero(differs[band:].any(axis=0))[-1]) + 1
    return min(1 - 1 / (width * height), (band + min(block, height - band) * across / width) / height)


# PNG


def mended_png(body: bytes, max_pixels: int) -> Mended | Drop:
    """A PNG of what `body` needs to be shown, its pixels as far as they are there, and an end.

    A chunk that no picture needs is left out where it is not sound. A header or palette that is not what its checksum
    says, and an unknown chunk that a picture needs, is DECODE_FAILED (PNG 5.4, 13.2). Pixels have two checksums: where
    a chunk's is wrong, that of their zlib stream decides.
    """
    header, kept, data, in_doubt = b"", [], [], False
    for kind, payload, is_sound in _chunks(body):
        is_critical = not kind[0] & 0x20
        if is_critical and not is_sound and kind not in (b"IDAT", b"IEND"):
            return Drop(Reason.DECODE_FAILED, None, f"{kind.decode('latin-1')} is not what its checksum says")
        if kind == b"IHDR":
            header = header or payload
        elif kind == b"IDAT":
            data.append(payload)
            in_doubt |= not is_sound
        elif kind == b"IEND":
            break
        elif kind == b"PLTE" or (is_sound and not data and _is_of_use(kind, payload)):
            kept.append((kind, payload))
        elif is_critical:
            return Drop(Reason.DECODE_FAILED, None, "an unknown chunk")
    if len(header) != 13:
        return Drop(Reason.DECODE_FAILED, None, "no header")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if width * height > max_pixels:
        return Drop(Reason.TOO_MANY_PIXELS, width * height, f"{width}x{height}")
    expected = _png_bytes(width, height, depth * _PNG_CHANNELS.get(colour, 4), bool(interlaced))
    if in_doubt and not _keeps_its_checksum(b"".join(data), expected):
        return Drop(Reason.DECODE_FAILED, None, "IDAT is not what its checksum says")
    rows = _inflated(b"".join(data), expected)
    share = len(rows) / expected if expected else 0.0
    kept = [c for c in kept if c[0] != b"tRNS" or _fits(c[1], colour)]
    whole = [(b"IHDR", header), *kept, (b"IDAT", zlib.compress(rows.ljust(expected, b"\0"), 1)), (b"IEND", b"")]
    return Mended(body[:_PNG_SIGNATURE_BYTES] + b"".join(_chunk(*c) for c in whole), share)


def has_sound_chunks(body: bytes) -> bool:
    """Whether every chunk that a PNG's picture needs is what its checksum says: decoders look at some of them only."""
    for kind, start, end in png_chunks(body):
        if end > len(body) or kind == b"IEND":
            return True
        if not kind[0] & 0x20 and not _is_sound(body, start, end):
            return False
    return True


def lacks_last_row(picture: Image.Image) -> bool:
    """Whether a loaded picture may lack pixels: decoders leave the rest black and say nothing. Two rows, as interlaced
    pictures come every second row last."""
    width, height = picture.size
    rows = np.asarray(picture.crop((0, max(0, height - 2), width, height)))
    return any(not row.any() for row in rows)


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """(kind, payload, whether it is what its checksum says). The last one may be cut: its payload counts as sound."""
    end = _PNG_SIGNATURE_BYTES
    for kind, start, end in png_chunks(body):
        is_cut = end > len(body)
        payload = body[start + 8 : len(body) if is_cut else end - 4]
        yield kind, payload, is_cut or _is_sound(body, start, end)
    if end < len(body) and body[end + 4 : end + 8] == b"IDAT":
        yield b"IDAT", body[end + 8 :], True


def _is_sound(body: bytes, start: int, end: int) -> bool:
    return zlib.crc32(memoryview(body)[start + 4 : end - 4]) == int.from_bytes(body[end - 4 : end], "big")


def _is_of_use(kind: bytes, payload: bytes) -> bool:
    """Whether a chunk beside the pixels says how these are to be shown, and can be read."""
    if kind == b"iCCP":
        name, _, rest = payload.partition(b"\0")
        return 0 < len(name) < 80 and rest[:1] == b"\0" and len(_inflated(rest[1:], MAX_PROFILE_BYTES)) > 0
    return kind in (b"tRNS", b"eXIf")


def _fits(transparency: bytes, colour: int) -> bool:
    """Whether a tRNS chunk has the length that its picture's colour type asks for (PNG 11.3.2.1)."""
    return len(transparency) == {0: 2, 2: 6}.get(colour, -1) or (colour == 3 and 0 < len(transparency) <= 256)


def _png_bytes(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Bytes of all rows, each with its filter's byte (PNG 7.2, 8.2)."""
    if not interlaced:
        return height * (1 + (width * bits + 7) // 8)
    sizes = ((-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in _ADAM7)
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _inflated(data: bytes, most: int) -> bytes:
    """What comes out of zlib data before they end or break, at most `most` bytes. Their own checksum is not asked."""
    parts: list[bytes] = []
    stream, size = zlib.decompressobj(wbits=-15), 0  # without the header, which asks for the checksum
    for index in range(2, len(data), 512):  # what comes out of a piece before a break in it is lost
        piece = data[index : index + 512]
        while size < most and not stream.eof and piece:
            try:
                part = stream.decompress(piece, most - size)
            except zlib.error:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            piece = stream.unconsumed_tail
    return b"".join(parts)


def _keeps_its_checksum(data: bytes, most: int) -> bool:
    """Whether zlib data end as their own checksum says, with `most` bytes at most (RFC 1950, Adler-32)."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(data, most + 1)
    except zlib.error:
        return False
    return stream.eof


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
