"""An HTTP client that ends: every request comes back as a value, within its deadline and its caps.

GET only, no cookies, no credentials, redirects by hand, one TLS context, connections kept alive. Addresses are judged
where they are connected to (`transforms.web.address`). Details of failures hold no clock, address or byte count, so
that the same answers give the same rows.
"""

import asyncio
import errno
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from types import SimpleNamespace, TracebackType
from typing import Any, NamedTuple, Protocol

import aiohttp
import certifi
from ada_url import URL as ParsedUrl
from yarl import URL

from filters.reasons import Drop, Reason
from filters.url import normalise_url
from transforms.web.address import Refused, Resolver
from transforms.web.decompress import ACCEPTED, decode_body
from transforms.web.settings import WebSettings, is_ip_literal, port_of

REDIRECTS = frozenset({301, 302, 303, 307, 308})
LARGE_BODY_BYTES = 1024 * 1024
MAX_HEADER_FIELDS = 128
KEEP_ALIVE_S = 15  # most servers close at 5 to 75
SCHEMES = ("http", "https")
Headers = tuple[tuple[str, str], ...]

_OUR_NETWORK = {errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS}


class Wanted(NamedTuple):
    """What a request asks for."""

    max_bytes: int  # of the body, as sent and again after decompression
    accept: str = "*/*"
    headers: Headers = ()
    cut: bool = False  # a longer body is cut off there instead of refused


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


class Watcher(Protocol):
    """Who wants to know how far a request has come."""

    def sent(self) -> None: ...

    def answered(self) -> None: ...


class _Nobody:
    def sent(self) -> None:
        """Nobody asked."""

    def answered(self) -> None:
        """Nobody asked."""


class Response(aiohttp.ClientResponse):
    """Remembers who answers: a short answer's connection is back in the pool before anybody can look."""

    peer = ""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        found = connection.transport.get_extra_info("peername") if connection.transport else None
        self.peer = str(found[0]) if found else ""
        return await super().start(connection)


class Client:
    """`async with Client(settings, "Pairmill/1") as client: await client.get(url, max_bytes=..., accept=...)`."""

    def __init__(self, settings: WebSettings, user_agent: str, resolver: Resolver | None = None) -> None:
        self._settings = settings
        self._user_agent = user_agent
        self._resolver = resolver or Resolver(settings)
        self._large = asyncio.Semaphore(settings.large_bodies_at_once)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Client":
        timeouts = self._settings.timeouts
        # The deadlines of the whole exchange are kept in `exchange`, which can stop the clock while it waits for us.
        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s, sock_read=timeouts.read_s)
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_tell_sent)
        self._session = aiohttp.ClientSession(
            connector=self._connector(),
            timeout=limits,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
            response_class=Response,
            max_line_size=self._settings.max_header_bytes,
            max_field_size=self._settings.max_header_bytes,
            max_headers=MAX_HEADER_FIELDS,
            headers={"User-Agent": self._user_agent, "Accept-Encoding": ACCEPTED},
        )
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._session is not None
        await self._session.close()

    def _connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,  # each connection is judged by its own look-up
            limit=0,  # how many are open is the schedule's decision
            ssl=tls_context(self._settings.ca_file),
            keepalive_timeout=KEEP_ALIVE_S,
        )

    async def get(self, url: str, *, max_bytes: int, accept: str, headers: Headers = ()) -> Answer:
        """Ask for `url` and follow its redirects. The status is 200, or there is a drop."""
        wanted = Wanted(max_bytes, accept, headers)
        return await follow(url, lambda hop: self.exchange(hop, wanted), self._settings.max_redirects)

    def judge_target(self, url: str) -> Drop | None:
        """What can be said of a url's address before any look-up."""
        parsed = ParsedUrl(url)
        host, port = parsed.hostname, port_of(parsed)
        if not is_ip_literal(host):
            return self._resolver.judge_port(host, port)
        judged = self._resolver.judge([host.strip("[]")], port)
        return judged if isinstance(judged, Drop) else None

    async def exchange(self, url: str, wanted: Wanted, watcher: Watcher | None = None) -> Reply:
        """One request and its reply. `url` is a serialised http(s) url."""
        started = time.monotonic()
        reply = Reply(url, started_s=time.time())
        drop = self.judge_target(url)  # the connector looks no literal up, so the resolver never sees it
        if drop is not None:
            return reply._replace(drop=drop)
        watcher = watcher or _Nobody()
        assert self._session is not None
        try:
            async with asyncio.timeout(self._settings.timeouts.total_s) as deadline:
                async with self._session.get(
                    URL(url, encoded=True),
                    allow_redirects=False,
                    headers=[("Accept", wanted.accept), *wanted.headers],
                    trace_request_ctx=watcher,
                ) as response:
                    watcher.answered()
                    assert isinstance(response, Response)
                    reply = _with_head(reply, response)
                    if 200 <= response.status < 300:
                        reply = await self._with_body(reply, response, wanted, deadline)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reply = reply._replace(body=b"", drop=drop_of(error, url))
        if reply.drop is None and reply.status != 200:
            reply = reply._replace(drop=Drop(Reason.HTTP_STATUS, reply.status))
        return reply._replace(duration_s=time.monotonic() - started)

    async def _with_body(
        self, reply: Reply, response: aiohttp.ClientResponse, wanted: Wanted, deadline: asyncio.Timeout
    ) -> Reply:
        async with AsyncExitStack() as large:
            raw = await self._read(response, wanted, deadline, large)
            if raw is None:
                return reply._replace(drop=Drop(Reason.TOO_MANY_BYTES, wanted.max_bytes))
            reply = reply._replace(bytes_received=len(raw))
            body = decode_body(raw, header(reply.headers, "content-encoding"), wanted.max_bytes, wanted.cut)
        if isinstance(body, Drop):
            return reply._replace(drop=body)
        return reply._replace(body=body)

    async def _read(
        self, response: aiohttp.ClientResponse, wanted: Wanted, deadline: asyncio.Timeout, large: AsyncExitStack
    ) -> bytes | None:
        """The body as sent; None where it is longer than wanted."""
        if (response.content_length or 0) > wanted.max_bytes and not wanted.cut:
            return None
        body = bytearray()
        waited = False
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > wanted.max_bytes:
                return bytes(body[: wanted.max_bytes]) if wanted.cut else None
            if len(body) > LARGE_BODY_BYTES and not waited:
                waited = True
                await self._wait_for_room(deadline, large)
        return bytes(body)

    async def _wait_for_room(self, deadline: asyncio.Timeout, large: AsyncExitStack) -> None:
        """Only so many large bodies at once. The wait is ours: the server's deadline stands still."""
        loop = asyncio.get_running_loop()
        left = (deadline.when() or loop.time()) - loop.time()
        deadline.reschedule(None)
        await large.enter_async_context(self._large)
        deadline.reschedule(loop.time() + left)


async def follow(url: str, ask: Callable[[str], Awaitable[Reply]], max_redirects: int) -> Answer:
    """Ask for `url` and where it redirects to, hop by hop; `ask` judges every hop anew."""
    current = _request_url(url)
    if isinstance(current, Drop):
        return answer_of(url, [Reply(url, drop=current)])
    replies: list[Reply] = []
    seen = {current}
    while True:
        reply = await ask(current)
        replies.append(reply)
        if reply.status not in REDIRECTS or (reply.drop is not None and reply.drop.reason != Reason.HTTP_STATUS):
            return answer_of(url, replies)
        target = _redirect_target(reply)
        if isinstance(target, str) and target in seen:
            target = Drop(Reason.REDIRECT_LOOP)
        elif isinstance(target, str) and len(replies) > max_redirects:
            target = Drop(Reason.TOO_MANY_REDIRECTS, max_redirects)
        if isinstance(target, Drop):
            replies[-1] = reply._replace(drop=target)
            return answer_of(url, replies)
        seen.add(target)
        current = target


def answer_of(url: str, replies: Sequence[Reply]) -> Answer:
    """The replies of a chain of redirects as one answer."""
    last = replies[-1]
    return Answer(
        url=url,
        final_url=last.url,
        status=last.status,
        headers=last.headers,
        body=last.body if last.drop is None else b"",
        redirects=len(replies) - 1,
        address=last.address,
        started_s=replies[0].started_s,
        duration_s=sum(reply.duration_s for reply in replies),
        bytes_received=sum(reply.bytes_received for reply in replies),
        drop=last.drop,
    )


def _request_url(url: str) -> str | Drop:
    target = normalise_url(url)
    if target is None:
        return Drop(Reason.URL_INVALID, None, url[:200])
    scheme = target.partition(":")[0]
    return target if scheme in SCHEMES else Drop(Reason.URL_SCHEME, None, scheme)


def _redirect_target(reply: Reply) -> str | Drop:
    location = header(reply.headers, "location")
    if not location:
        return Drop(Reason.BAD_REDIRECT, None, "no Location")
    target = normalise_url(location, reply.url)
    if target is None:
        return Drop(Reason.BAD_REDIRECT, None, "Location is no url")
    scheme = target.partition(":")[0]
    return target if scheme in SCHEMES else Drop(Reason.BAD_REDIRECT, None, f"to {scheme}:")


def header(headers: Headers, name: str) -> str:
    """All values of a header, joined as RFC 9110 joins them, except for Location, where only the first counts."""
    values = header_values(headers, name)
    return values[0] if name == "location" and values else ", ".join(values)


def header_values(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]


def _with_head(reply: Reply, response: "Response") -> Reply:
    headers = tuple((_text(name), _text(value)) for name, value in response.raw_headers)
    return reply._replace(status=response.status, headers=headers, address=response.peer)


def _text(octets: bytes) -> str:
    """Header octets as text: UTF-8 where they are, else the Latin-1 of the old HTTP."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


async def _tell_sent(session: aiohttp.ClientSession, context: SimpleNamespace, params: Any) -> None:
    context.trace_request_ctx.sent()


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """One context for all connections (making one costs 30 ms). Raises OSError where `ca_file` cannot be read."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # small containers have no system store
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def drop_of(error: BaseException, url: str) -> Drop:
    """The stable reason behind an exception of aiohttp or the system."""
    for inner in _chain(error):
        if isinstance(inner, Refused):
            return inner.drop
        if isinstance(inner, ssl.SSLError | aiohttp.ClientSSLError):
            return Drop(Reason.TLS_FAILED, None, _tls_detail(error))
    if isinstance(error, TimeoutError):
        return Drop(Reason.TIMEOUT, None, _which_deadline(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connect_drop(error, url)
    if isinstance(error, aiohttp.InvalidURL):
        return Drop(Reason.URL_INVALID, None, url[:200])
    if isinstance(error, aiohttp.ClientResponseError | ValueError):
        return Drop(Reason.BAD_HTTP, None, "not an HTTP answer")
    if isinstance(error, aiohttp.ClientPayloadError) and _is_malformed(error):
        return Drop(Reason.BAD_HTTP, None, "broken body framing")
    return Drop(Reason.CONNECTION_LOST)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error.__cause__


def _which_deadline(error: TimeoutError) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "connect"
    return "read" if isinstance(error, aiohttp.SocketTimeoutError) else "total"


def _tls_detail(error: BaseException) -> str:
    """OpenSSL's own words, such as "certificate has expired"; they name no address."""
    for inner in _chain(error):
        detail = getattr(inner, "verify_message", None) or getattr(inner, "reason", None)
        if isinstance(detail, str):
            return detail.strip().rstrip(".")
    return "handshake failed"


def _connect_drop(error: aiohttp.ClientConnectorError, url: str) -> Drop:
    literal_v6 = ParsedUrl(url).hostname.startswith("[")  # unreachable where this machine has no IPv6
    if error.os_error.errno in _OUR_NETWORK and not literal_v6:
        return Drop(Reason.LOCAL_NETWORK, None, errno.errorcode[error.os_error.errno])
    return Drop(Reason.CONNECT_FAILED, None, errno.errorcode.get(error.os_error.errno or 0, ""))


def _is_malformed(error: BaseException) -> bool:
    """Broken chunks, and not merely an end that came too early."""
    text = " ".join(str(inner) for inner in _chain(error))
    return "Not enough data" not in text and any(
        isinstance(e, aiohttp.http_exceptions.BadHttpMessage) for e in _chain(error)
    )
