"""Bytes that can be stored as they are: nothing in them but the picture. Pure."""

from transforms.formats.image_structure import APP0, APP14, EOI, SOS, jpeg_segments, png_chunks, webp_end

_TABLES_AND_FRAMES = {0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, SOS, APP14}  # T.81; APP14 says how colours are coded
_JFIF_BYTES = 16  # of a segment without thumbnail, its length included
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})


def bare(body: bytes, name: str) -> bytes | None:
    """`body` up to its end, where it holds no metadata, thumbnail or profile; None where it does, or may."""
    check = {"JPEG": _bare_jpeg, "PNG": _bare_png, "WEBP": _bare_webp}.get(name)
    return check(body) if check else None


def _bare_jpeg(body: bytes) -> bytes | None:
    end, scanned = 2, False
    for marker, start, length in jpeg_segments(body):
        if not scanned and body[end : start - 1].strip(b"\xff"):  # between two segments, where nothing belongs
            return None
        end, scanned = start + length, scanned or marker == SOS
        if marker == EOI:
            return body[:start]
        if marker not in _TABLES_AND_FRAMES and (marker != APP0 or length != _JFIF_BYTES):
            return None
    return None


def _bare_png(body: bytes) -> bytes | None:
    for kind, _, end in png_chunks(body):
        if kind not in _PNG_CHUNKS:
            return None
        if kind == b"IEND":
            return body[:end]
    return None


def _bare_webp(body: bytes) -> bytes | None:
    """The simple formats: one chunk of VP8 or VP8L, no room for metadata."""
    end = webp_end(body)
    chunk = 20 + int.from_bytes(body[16:20], "little")
    simple = body[12:16] in (b"VP8 ", b"VP8L") and chunk + chunk % 2 == end
    return body[:end] if simple else None
