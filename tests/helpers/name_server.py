"""A DNS server on loopback (RFC 1035, UDP) that says what it is told to, and keeps a log."""

import asyncio
import ipaddress
import struct
from collections.abc import Callable
from typing import NamedTuple

A, AAAA, CNAME = 1, 28, 5
NO_ERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


class Said(NamedTuple):
    """An answer: `code` without records, or addresses; `cname`: another name in between."""

    ips: tuple[str, ...] = ()
    ttl_s: int = 60
    code: int = NO_ERROR
    cname: str = ""


Zone = Callable[[str], Said | None]  # of a name in lower case; None: silence


class NameServer(asyncio.DatagramProtocol):
    """`async with NameServer(zone) as server`: `server.address` is its ip:port, `server.asked` the names, in order."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.asked: list[str] = []

    async def __aenter__(self) -> "NameServer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._transport.get_extra_info('sockname')[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        name, kind, end = question_of(data)
        if kind == A:
            self.asked.append(name)
        said = self.zone(name)
        if said is not None:
            self._transport.sendto(answer(data, end, name, kind, said), peer)


def question_of(data: bytes) -> tuple[str, int, int]:
    """(name, kind, end of the question)"""
    labels, place = [], 12
    while data[place]:
        labels.append(data[place + 1 : place + 1 + data[place]].decode("ascii"))
        place += 1 + data[place]
    kind = struct.unpack_from("!H", data, place + 1)[0]
    return ".".join(labels).lower(), kind, place + 5


def answer(data: bytes, end: int, name: str, kind: int, said: Said) -> bytes:
    wanted = [ip for ip in map(ipaddress.ip_address, said.ips) if (ip.version == 6) == (kind == AAAA)]
    owner, records = b"\xc0\x0c", b""  # a pointer to the question's name
    count = len(wanted)
    if said.cname and wanted:
        target = encoded(said.cname)
        records += record(owner, CNAME, said.ttl_s, target)
        owner, count = target, count + 1
    records += b"".join(record(owner, kind, said.ttl_s, ip.packed) for ip in wanted)
    head = data[:2] + struct.pack("!HHHHH", 0x8180 | said.code, 1, count, 0, 0)
    return head + data[12:end] + records


def encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".")) + b"\0"


def record(owner: bytes, kind: int, ttl_s: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, ttl_s, len(data)) + data
