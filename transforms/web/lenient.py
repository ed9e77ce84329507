"""A second way to read an answer: for servers that send header lines without a colon, at which libcurl ends a transfer.

Browsers pass over such a line, and so do we: the head is cleaned, and the standard library reads the body's framing.
"""

import asyncio
import io
import re
import socket
import ssl
from collections.abc import Sequence
from http.client import BadStatusLine, HTTPException, HTTPResponse, IncompleteRead
from typing import Any, cast

from filters.reasons import Drop, Reason
from transforms.web.curl import End
from transforms.web.loop import TICK_S
from transforms.web.settings import Address
from transforms.web.target import Target
from transforms.web.transfer import Transfer

MAX_HEAD_BYTES = 256 * 1024
_PIECE_BYTES = 64 * 1024
_FRAMING = (b"content-length", b"transfer-encoding")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_CHUNKED = re.compile(rb"\ntransfer-encoding:[^\n]*chunked", re.IGNORECASE)
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,18})", re.IGNORECASE)
_LAST_CHUNK = re.compile(rb"\n0+[^\n]*\n(?:[^\r\n]+\r?\n)*\r?\n\Z")
_INTERIM = re.compile(rb"HTTP/[0-9.]+ 1[0-9][0-9]")


class LenientReader:
    """Reads one answer at a time, on a connection of its own: what is read stands in memory twice."""

    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self.turn = asyncio.Lock()

    async def run(
        self, target: Target, addresses: Sequence[Address], fields: list[str], transfer: Transfer, max_bytes: int
    ) -> End:
        """Fill `transfer` with the answer to a GET of `target`; how it ended, in curl's terms. `max_bytes`: of the
        body, as sent. To be called by who holds `turn`, so that no deadline runs while one waits for it."""
        reading = asyncio.create_task(self._read(target, addresses, fields, transfer, max_bytes + MAX_HEAD_BYTES))
        try:
            while not (await asyncio.wait({reading}, timeout=TICK_S))[0]:
                overdue = transfer.overdue()
                if overdue:
                    return End(overdue=overdue)
            return _fill(transfer, reading.result())
        except (OSError, HTTPException, ValueError) as error:
            transfer.drop = transfer.drop or Drop(Reason.CONNECTION_LOST, None, type(error).__name__)
            return End()
        finally:
            reading.cancel()

    async def _read(
        self, target: Target, addresses: Sequence[Address], fields: list[str], transfer: Transfer, limit: int
    ) -> bytes:
        """The whole answer, up to `limit` bytes and one piece."""
        reader, writer = await self._connect(target, addresses)
        try:
            if not transfer.connected(writer.get_extra_info("peername")[0]):
                return b""
            path = "/" + target.url.partition("#")[0].partition("://")[2].partition("/")[2]
            host = target.origin.partition("://")[2]
            lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "Connection: close", "", ""]
            writer.write("\r\n".join(lines).encode("latin-1"))
            answer = bytearray()
            while len(answer) <= limit and not _is_whole(answer) and (piece := await reader.read(_PIECE_BYTES)):
                transfer.heard()
                answer += piece
            return bytes(answer)
        finally:
            writer.transport.abort()

    async def _connect(
        self, target: Target, addresses: Sequence[Address]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first address that answers. Raises the last one's OSError."""
        tls: dict[str, Any] = {}
        if target.origin.startswith("https:"):
            self._tls = self._tls or ssl.create_default_context(cafile=self._ca_file)
            tls = {"ssl": self._tls, "server_hostname": target.host.strip("[]").rstrip(".")}
        for address in addresses[:-1]:
            try:
                return await asyncio.open_connection(address.ip, address.port, **tls)
            except OSError:
                continue
        return await asyncio.open_connection(addresses[-1].ip, addresses[-1].port, **tls)


def _fill(transfer: Transfer, answer: bytes) -> End:
    """Hand an answer to `transfer` as curl would have. Raises HTTPException where its framing is broken."""
    if transfer.drop is not None:
        return End()
    lines, body = _split(answer)
    fields = [line for line in lines[1:] if _is_field(line)]
    if not all(transfer.header_line(line + b"\r\n") for line in [*lines[:1], *fields, b""]):
        return End()
    framing = [line for line in fields if line.partition(b":")[0].strip().lower() in _FRAMING]
    response = HTTPResponse(cast("socket.socket", _Sent(b"\r\n".join([lines[0], *framing, b"", body]))), method="GET")
    response.begin()
    while piece := response.read(_PIECE_BYTES):
        if not transfer.body_piece(piece):
            return End()
    if response.length:
        raise IncompleteRead(b"", response.length)
    return End()


def _split(answer: bytes) -> tuple[list[bytes], bytes]:
    """The lines of the final head, and what follows it; heads of 1xx answers before it mean nothing."""
    while True:
        end = _BLANK_LINE.search(answer)
        if end is None:
            raise BadStatusLine("no whole head")
        if not _INTERIM.match(answer):
            break
        answer = answer[end.end() :]
    return [line.rstrip(b"\r") for line in answer[: end.start()].split(b"\n")], answer[end.end() :]


def _is_whole(answer: bytearray) -> bool:
    """Whether nothing more is to come: servers need not close the connection."""
    end = _BLANK_LINE.search(answer)
    if end is None:
        return False
    if _INTERIM.match(answer):
        return _is_whole(answer[end.end() :])
    head = answer[: end.start()]
    if _CHUNKED.search(head):
        return _LAST_CHUNK.search(answer, max(end.end() - 2, len(answer) - _PIECE_BYTES)) is not None
    length = _LENGTH.search(head)
    return length is not None and len(answer) - end.end() >= int(length[1])


def _is_field(line: bytes) -> bool:
    return line[:1] in (b" ", b"\t") or (line.find(b":") > 0 and b"\0" not in line)


class _Sent:
    """What HTTPResponse asks of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)
