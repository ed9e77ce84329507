"""An HTTP client that ends: every request comes back as a value, within its deadline and its caps.

GET only, no cookies, no credentials, redirects by hand, one store of certificates, connections kept alive. Addresses
are judged before they are connected to (`transforms.web.address`), and curl is given no other. Details of failures
hold no clock, address or byte count, so that the same answers give the same rows.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import NamedTuple, Protocol

from filters.reasons import Drop, Reason
from filters.url import normalise_url
from transforms.formats.content_coding import ACCEPTED, decode_content
from transforms.formats.http_headers import WHOLE_ANSWERS, Headers, first, joined
from transforms.web.address import Resolver
from transforms.web.certificates import authorities
from transforms.web.curl import Curl, Request
from transforms.web.failures import BROKEN_HEAD, drop_of
from transforms.web.lenient import LenientReader
from transforms.web.loop import loop_clock
from transforms.web.settings import Address, WebSettings
from transforms.web.target import Target, target_of
from transforms.web.transfer import Caps, Transfer

REDIRECTS = frozenset({301, 302, 303, 307, 308})
LARGE_BODY_BYTES = 1024 * 1024
# A coded body above this is decoded in a thread: 64 KiB take up to a millisecond, and thousands of others wait.
OFF_LOOP_BYTES = 64 * 1024
DECODE_SHARE = 0.25  # of a request's deadline: CPU for undoing its codings
SCHEMES = ("http", "https")


class Wanted(NamedTuple):
    """What a request asks for."""

    max_bytes: int  # of the body, as sent and again after decompression
    accept: str = "*/*"
    headers: Headers = ()
    cut: bool = False  # a longer body is cut off there instead of refused
    urgent: bool = False  # answers that came wait for this one: it goes first at its host


class Reply(NamedTuple):
    """What came of one request, before any redirect is followed."""

    url: str
    status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    address: str = ""
    started_s: float = 0.0  # since the epoch
    duration_s: float = 0.0
    bytes_received: int = 0  # of the body, as sent
    drop: Drop | None = None
    loop_late_s: float = 0.0  # of duration_s: our loop was not served, and no deadline ran


class Answer(NamedTuple):
    """What came of asking for a url. `status` and `headers` are the last reply's, None and () where none came."""

    url: str
    final_url: str
    status: int | None
    headers: Headers
    body: bytes  # decompressed; empty where `drop` says why
    redirects: int  # followed
    address: str
    started_s: float  # since the epoch
    duration_s: float  # of the requests, without the waiting between them
    bytes_received: int
    drop: Drop | None
    loop_late_s: float = 0.0  # of duration_s: our loop was not served, and no deadline ran


def no_answer(url: str) -> Answer:
    return Answer(url=url, final_url=url, status=None, headers=(), body=b"", redirects=0, address="",
                  started_s=0.0, duration_s=0.0, bytes_received=0, drop=None)  # fmt: skip


class Watcher(Protocol):
    """Who wants to know how far a request has come; one whose `sent` says no is not sent."""

    def sent(self) -> bool: ...

    def answered(self) -> None: ...


class _Nobody:
    def sent(self) -> bool:
        """Nobody asked."""
        return True

    def answered(self) -> None:
        """Nobody asked."""


class LargeBodies:
    """So many at once: bounds the memory of bodies on their way."""

    def __init__(self, at_once: int, resume: Callable[[Transfer], None]) -> None:
        self._free = at_once
        self._resume = resume
        self._holders: set[Transfer] = set()
        self._waiting: deque[Transfer] = deque()

    def may_grow(self, transfer: Transfer) -> bool:
        """Whether a body may take another piece; one that may not is resumed later."""
        if len(transfer.body) <= LARGE_BODY_BYTES or transfer in self._holders:
            return True
        if not self._free:
            self._waiting.append(transfer)
            return False
        self._free -= 1
        self._holders.add(transfer)
        return True

    def end(self, transfer: Transfer) -> None:
        """A transfer is over: the next one may go on."""
        if transfer in self._waiting:
            self._waiting.remove(transfer)
        if transfer not in self._holders:
            return
        self._holders.remove(transfer)
        self._free += 1
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._waiting and self._free:
            self._resume(self._waiting.popleft())


class Client:
    """`async with Client(settings, "Pairmill/1") as client: await client.get(url, max_bytes=..., accept=...)`."""

    def __init__(self, settings: WebSettings, user_agent: str, resolver: Resolver | None = None) -> None:
        self._settings = settings
        self._fields = [f"User-Agent: {user_agent}", f"Accept-Encoding: {ACCEPTED}"]
        self._resolver = resolver or Resolver(settings)
        self._curl: Curl | None = None
        self._broken_heads: set[str] = set()  # origins whose header lines libcurl does not read

    async def __aenter__(self) -> "Client":
        ca_file = authorities(self._settings.ca_file)
        self._curl, self._lenient = Curl(ca_file), LenientReader(ca_file)
        self._large = LargeBodies(self._settings.large_bodies_at_once, self._curl.resume)
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._curl is not None
        self._curl.close()
        await self._resolver.close()

    @property
    def in_flight(self) -> int:
        """Requests that are under way."""
        return self._curl.in_flight if self._curl is not None else 0

    async def get(self, url: str, *, max_bytes: int, accept: str, headers: Headers = ()) -> Answer:
        """Ask for `url` and follow its redirects. The status is 200 or 203, or there is a drop."""
        wanted = Wanted(max_bytes, accept, headers)
        return await follow(url, lambda hop: self.exchange(hop, wanted), self._settings.max_redirects)

    def judge_target(self, url: str) -> Drop | None:
        """What can be said of a url's address before any look-up."""
        target = target_of(url)
        if not target.is_ip:
            return self._resolver.judge_port(target.host, target.port)
        judged = self._resolver.judge([target.host.strip("[]")], target.port)
        return judged if isinstance(judged, Drop) else None

    async def exchange(self, url: str, wanted: Wanted, watcher: Watcher | None = None) -> Reply:
        """One request and its reply. `url` is a serialised http(s) url."""
        clock = loop_clock()
        began_s, late_s = time.monotonic(), clock.late_s
        reply = Reply(url, started_s=time.time())
        target = target_of(url)
        found = self.judge_target(url) or await self._resolver.addresses(target.host, target.port)
        if isinstance(found, Drop):
            reply = reply._replace(drop=found)
        else:
            reply = await self._transferred(reply, target, found, wanted, watcher)
        if reply.drop is None and reply.status not in WHOLE_ANSWERS:
            reply = reply._replace(drop=Drop(Reason.HTTP_STATUS, reply.status))
        return reply._replace(duration_s=time.monotonic() - began_s, loop_late_s=clock.late_s - late_s)

    def _fields_of(self, wanted: Wanted) -> list[str]:
        return [*self._fields, f"Accept: {wanted.accept}", *(f"{name}: {value}" for name, value in wanted.headers)]

    async def _transferred(
        self, reply: Reply, target: Target, addresses: Sequence[Address], wanted: Wanted, watcher: Watcher | None
    ) -> Reply:
        if target.origin in self._broken_heads:
            async with self._lenient.turn:
                transfer = self._new_transfer(wanted, watcher, may_grow=lambda transfer: True)
                fields = self._fields_of(wanted)
                end = await self._lenient.run(target, addresses, fields, transfer, wanted.max_bytes)
        else:
            transfer = self._new_transfer(wanted, watcher, self._large.may_grow)
            assert self._curl is not None
            try:
                end = await self._curl.run(request_of(target, addresses, self._fields_of(wanted)), transfer)
            finally:
                self._large.end(transfer)
        drop = drop_of(end, transfer, target.url)
        if drop == BROKEN_HEAD:
            self._broken_heads.add(target.origin)
        return await self._judged(_with_head(reply, transfer), transfer, drop, wanted)

    def _new_transfer(self, wanted: Wanted, watcher: Watcher | None, may_grow: Callable[[Transfer], bool]) -> Transfer:
        watcher = watcher or _Nobody()
        caps = Caps(wanted.max_bytes, self._settings.max_header_bytes, wanted.cut)
        connected = self._connected(watcher)
        return Transfer(caps, self._settings.timeouts, loop_clock().now_s, connected, watcher.answered, may_grow)

    async def _judged(self, reply: Reply, transfer: Transfer, failure: Drop | None, wanted: Wanted) -> Reply:
        """The body, where it is wanted and whole. Of an error or redirect the head is enough."""
        if reply.status is not None and not 200 <= reply.status < 300:
            return reply
        if failure is not None:
            return reply._replace(drop=failure)
        reply = reply._replace(bytes_received=len(transfer.body))
        body, codings = bytes(transfer.body), joined(reply.headers, "content-encoding").split(",")
        cpu_s = DECODE_SHARE * self._settings.timeouts.total_s
        decode = partial(decode_content, body, codings, wanted.max_bytes, cpu_s)
        if any(codings) and len(body) > OFF_LOOP_BYTES:
            decoded = await asyncio.to_thread(decode)
        else:
            decoded = decode()
        is_cut = wanted.cut and decoded.drop is not None and decoded.drop.reason is Reason.TOO_MANY_BYTES
        return (
            reply._replace(body=decoded.data) if decoded.drop is None or is_cut else reply._replace(drop=decoded.drop)
        )

    def _connected(self, watcher: Watcher) -> Callable[[str], Drop | None]:
        """Called when a connection is ready, new or kept: the last look at where it leads, before anything is sent."""

        def connected(ip: str) -> Drop | None:
            drop = self._resolver.judge_peer(ip)
            return drop or (None if watcher.sent() else Drop(Reason.LOCAL_NETWORK, None, "not ours to ask"))

        return connected


def request_of(target: Target, addresses: Sequence[Address], fields: list[str]) -> Request:
    """What curl gets: the addresses are in its own tables, so that it asks no resolver."""
    host, port = target.host, target.port
    resolve, connect_to = [], []
    if addresses[0].port != port:  # named by the settings
        ip = f"[{addresses[0].ip}]" if ":" in addresses[0].ip else addresses[0].ip
        connect_to = [f"{host}:{port}:{ip}:{addresses[0].port}"]
    elif not target.is_ip:
        resolve = [f"+{host}:{port}:{','.join(f'[{a.ip}]' if ':' in a.ip else a.ip for a in addresses)}"]
    return Request(target.url, fields, resolve, connect_to)


def _with_head(reply: Reply, transfer: Transfer) -> Reply:
    if not transfer.has_status:
        return reply._replace(address=transfer.address)
    return reply._replace(status=transfer.status, headers=transfer.headers(), address=transfer.address)


async def follow(url: str, ask: Callable[[str], Awaitable[Reply]], max_redirects: int, before: int = 0) -> Answer:
    """Ask for `url` and where it redirects to, hop by hop; `ask` judges every hop anew.

    `before`: redirects that were followed on the way to `url`, by another task.
    """
    current = _request_url(url)
    if isinstance(current, Drop):
        return answer_of(url, [Reply(url, drop=current)], before)
    replies: list[Reply] = []
    seen = {current}
    while True:
        reply = await ask(current)
        if reply.drop == BROKEN_HEAD:  # the client reads this host leniently from now on
            reply = await ask(current)
        replies.append(reply)
        if reply.status not in REDIRECTS or (reply.drop is not None and reply.drop.reason != Reason.HTTP_STATUS):
            return answer_of(url, replies, before)
        target = _redirect_target(reply)
        if isinstance(target, str) and target in seen:
            target = Drop(Reason.REDIRECT_LOOP)
        elif isinstance(target, str) and before + len(replies) > max_redirects:
            target = Drop(Reason.TOO_MANY_REDIRECTS, max_redirects)
        if isinstance(target, Drop):
            replies[-1] = reply._replace(drop=target)
            return answer_of(url, replies, before)
        seen.add(target)
        current = target


def answer_of(url: str, replies: Sequence[Reply], before: int = 0) -> Answer:
    """The replies of a chain of redirects as one answer."""
    last = replies[-1]
    return Answer(
        url=url,
        final_url=last.url,
        status=last.status,
        headers=last.headers,
        body=last.body if last.drop is None else b"",
        redirects=before + len(replies) - 1,
        address=last.address,
        started_s=replies[0].started_s,
        duration_s=sum(reply.duration_s for reply in replies),
        bytes_received=sum(reply.bytes_received for reply in replies),
        drop=last.drop,
        loop_late_s=sum(reply.loop_late_s for reply in replies),
    )


def _request_url(url: str) -> str | Drop:
    target = normalise_url(url)
    if target is None:
        return Drop(Reason.URL_INVALID, None, url[:200])
    scheme = target.partition(":")[0]
    return target if scheme in SCHEMES else Drop(Reason.URL_SCHEME, None, scheme)


def _redirect_target(reply: Reply) -> str | Drop:
    location = first(reply.headers, "location")
    if not location:
        return Drop(Reason.BAD_REDIRECT, None, "no Location")
    target = normalise_url(location, reply.url)
    if target is None:
        return Drop(Reason.BAD_REDIRECT, None, "Location is no url")
    scheme = target.partition(":")[0]
    return target if scheme in SCHEMES else Drop(Reason.BAD_REDIRECT, None, f"to {scheme}:")
