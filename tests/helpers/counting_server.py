"""A server that takes its time between head and body, and counts how many requests each host has open."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from helpers.raw_server import RawServer, Request


class CountingServer(RawServer):
    """`said(request)` gives a whole answer. The gap between requests counts from the head, as both sides see it."""

    def __init__(self, said: Callable[[Request], bytes], answer_s: float) -> None:
        super().__init__({})
        self._said, self._answer_s = said, answer_s
        self._open: dict[str, int] = defaultdict(int)
        self.most: dict[str, int] = defaultdict(int)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        host = request.host
        self._open[host] += 1
        self.most[host] = max(self.most[host], self._open[host])
        head, end, body = self._said(request).partition(b"\r\n\r\n")
        writer.write(head + end)
        await writer.drain()
        if body:
            await self._hold(request)
        self._open[host] -= 1
        writer.write(body)
        await writer.drain()

    async def _hold(self, request: Request) -> None:
        """How long the body of an answer is kept back."""
        await asyncio.sleep(self._answer_s)
