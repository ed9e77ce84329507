"""The segments of a JPEG and the chunks of a PNG or WebP, walked once and in one place. Pure.

Nothing is checked but where parts begin; what a walk means is for its caller. Each walk is linear in the body, ends on
any bytes, and raises nothing.
"""

import re
from collections.abc import Iterator

EOI, SOS, APP0, APP14 = 0xD9, 0xDA, 0xE0, 0xEE
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)  # after any number of FF
_AFTER_SCAN = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)  # in coded data FF 00 and RSTn are no end
_ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a segment, EOI among them


# Plain tuples: a hostile body has millions of parts, and named ones take twice as long.
Segment = tuple[int, int, int]  # marker, offset behind it, bytes from there as the segment says; 0 where it has none
Chunk = tuple[bytes, int, int]  # kind, offset of its length field, offset behind its checksum, perhaps behind the body


def jpeg_segments(body: bytes) -> Iterator[Segment]:
    """The marker segments (ITU-T T.81, B.1) up to the end-of-image marker, or as far as there is a next one.

    A thumbnail's or a table's bytes are skipped with their segment, so that no marker in them is taken for one.
    """
    offset, scanned = 2, False
    while (found := (_AFTER_SCAN if scanned else _MARKER).search(body, offset)) is not None:
        marker, offset = found[1][0], found.end()
        length = 0 if marker in _ALONE else int.from_bytes(body[offset : offset + 2], "big")
        yield marker, offset, length
        if marker == EOI:
            return
        offset += length
        scanned = scanned or marker == SOS


def png_chunks(body: bytes) -> Iterator[Chunk]:
    """The chunks (PNG 5.3), as far as a chunk's frame of 12 bytes fits into the body."""
    offset = 8
    while offset + 12 <= len(body):
        end = offset + 12 + int.from_bytes(body[offset : offset + 4], "big")
        yield body[offset + 4 : offset + 8], offset, end
        offset = end


def webp_end(body: bytes) -> int:
    """The offset at which a WebP ends by its RIFF header (RFC 9649, 2.3)."""
    return 8 + int.from_bytes(body[4:8], "little")
