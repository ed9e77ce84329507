"""A server on loopback that says exactly the bytes it is told to, and keeps a log."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from transforms.web.settings import Pace, Timeouts, WebSettings

TICK_S = 0.004


class Request(NamedTuple):
    """One line of the log."""

    at_s: float  # monotonic
    host: str
    path: str
    headers: dict[str, str]
    connection: int
    since_s: float = 0.0  # monotonic: it came then at the earliest; long before `at_s` where the server was held up


def gaps_between(requests: Sequence[Request]) -> list[float]:
    """The seconds between each request and the next, at most: a server that was held up saw some of them late."""
    return [later.at_s - earlier.since_s for earlier, later in pairwise(requests)]


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def http(status: int = 200, body: bytes = b"", *headers: str, length: bool = True) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} Said", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawServer:
    """`async with RawServer({"/a": http(200, b"x"), "host.test/b": handler}) as server`. Unknown paths are 404."""

    def __init__(
        self,
        routes: dict[str, bytes | Handler],
        tls: ssl.SSLContext | None = None,
        addresses: Sequence[str] = ("127.0.0.1",),  # of loopback; the same port at all of them
    ) -> None:
        self.routes = routes
        self.log: list[Request] = []
        self.in_flight = self.most_in_flight = 0
        self.connections = 0
        self.port = 0
        self._tls, self._addresses = tls, addresses
        self._tasks: set[asyncio.Task] = set()
        self._ticks: deque[float] = deque([time.monotonic()] * 2, maxlen=2)

    async def _tick(self) -> None:
        """When this loop last looked at its sockets. The last tick but one: after a stop timers come before sockets."""
        while True:
            self._ticks.append(time.monotonic())
            await asyncio.sleep(TICK_S)

    async def __aenter__(self) -> "RawServer":
        self._tasks.add(asyncio.create_task(self._tick()))
        self._servers = []
        for address in self._addresses:
            server = await asyncio.start_server(self._serve, address, self.port, ssl=self._tls)
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return self

    async def __aexit__(self, *error: object) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def paths(self, host: str = "") -> list[str]:
        return [request.path for request in self.log if not host or request.host == host]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._talk(reader, writer, self.connections)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side went away, as some tests want
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            host = headers.get("host", "").partition(":")[0]
            request = Request(time.monotonic(), host, head[0].split(" ")[1], headers, connection, self._ticks[0])
            self.log.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                await self._answer(request, writer)
            finally:
                self.in_flight -= 1
            if writer.is_closing():
                return

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        path = request.path.partition("?")[0]
        route = self.routes.get(request.host + path, self.routes.get(path, http(404)))
        if isinstance(route, bytes):
            writer.write(route)
            await writer.drain()
        else:
            await route(request, writer)


SHORT = Timeouts(connect_s=1, read_s=0.4, total_s=0.8)  # for servers that never end; others may meet a busy machine


def settings_for(server: RawServer, **more) -> WebSettings:
    """All of `*.test` at the server, no gaps."""
    fast = Pace(at_once=8, gap_s=0)
    values = {
        "connect_to": {"*.test:80": f"127.0.0.1:{server.port}", "*.test:443": f"127.0.0.1:{server.port}"},
        "images": fast,
        "pages": fast,
        "backoff_s": 0.01,
    }
    return WebSettings(**(values | more))
