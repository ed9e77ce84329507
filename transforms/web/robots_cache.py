"""What a host's robots.txt and tdmrep.json say, asked once a day and host.

The answers to robots.txt mean what RFC 9309 section 2.3.1 says: 2xx is read, 4xx (but 429) allows everything, as do
too many redirects; 5xx, 429 and silence refuse everything.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from filters.optout import MAX_TDMREP_BYTES, TdmRule, parse_tdmrep
from filters.reasons import Drop, Reason
from filters.robots import MAX_BODY_BYTES, Robots, escape_octets, parse_robots
from transforms.web.client import Answer
from transforms.web.settings import WebSettings
from transforms.web.target import target_of

T = TypeVar("T")
Ask = Callable[[str, int], Awaitable[Answer]]  # (url, max_bytes); longer bodies are cut off

MAX_ENTRIES = 4_096
MAX_BYTES = 64 * 1024 * 1024  # of bodies behind the parsed entries
ALLOW_ALL = parse_robots(b"")

# The host cannot be asked for anything at all: that is the truer reason than a robots.txt that cannot be had.
_OF_THE_HOST = frozenset(
    {
        Reason.PRIVATE_ADDRESS,
        Reason.PORT_NOT_ALLOWED,
        Reason.DNS_NOT_FOUND,
        Reason.TLS_FAILED,
        Reason.HOST_BUDGET,
        Reason.HOST_UNREACHABLE,
        Reason.LOCAL_NETWORK,
        Reason.LOCAL_RESOLVER,
    }
)
_OURS = frozenset({Reason.LOCAL_NETWORK, Reason.LOCAL_RESOLVER})
_LEADS_NOWHERE = frozenset({Reason.TOO_MANY_REDIRECTS, Reason.REDIRECT_LOOP, Reason.BAD_REDIRECT})


class Entry(NamedTuple):
    """A host's robots.txt, or why it refuses everything."""

    robots: Robots
    drop: Drop | None = None


class OriginCache(Generic[T]):
    """Values by origin, loaded once however many ask at a time; the least recently used go first."""

    def __init__(self, load: Callable[[str], Awaitable[tuple[T, int, bool]]], max_age_s: float) -> None:
        """`load` gives (value, bytes behind it, whether it may be kept)."""
        self._load = load
        self._max_age_s = max_age_s
        self._entries: OrderedDict[str, tuple[float, asyncio.Task[T]]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    async def get(self, origin: str) -> T:
        entry = self._entries.get(origin)
        if entry is None or time.monotonic() - entry[0] > self._max_age_s:
            entry = (time.monotonic(), asyncio.create_task(self._fill(origin)))
            self._entries[origin] = entry
        self._entries.move_to_end(origin)
        if entry[1].done():
            return entry[1].result()
        return await asyncio.shield(entry[1])  # one impatient asker must not stop the others

    async def close(self) -> None:
        tasks = [task for _, task in self._entries.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, origin: str) -> T:
        keep = False
        try:
            value, size, keep = await self._load(origin)
            self._bytes += size - self._sizes.get(origin, 0)
            self._sizes[origin] = size
            return value
        finally:
            if not keep:
                self._forget(origin)
            self._make_room()

    def _make_room(self) -> None:
        while len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            oldest = next((origin for origin, (_, task) in self._entries.items() if task.done()), None)
            if oldest is None:
                return
            self._forget(oldest)

    def _forget(self, origin: str) -> None:
        self._entries.pop(origin, None)
        self._bytes -= self._sizes.pop(origin, 0)


class RobotsCache:
    """What all hosts say to us and to those whose no we obey."""

    def __init__(self, ask: Ask, settings: WebSettings) -> None:
        self._ask = ask
        self._settings = settings
        self._entries = OriginCache(self._load, settings.robots.max_age_s)

    async def judge(self, url: str) -> Drop | None:
        """Why `url` (serialised) may not be asked for, or None."""
        if not self._settings.robots.obey:
            return None
        entry = await self._entries.get(target_of(url).origin)
        return entry.drop or judge_robots(entry.robots, url, self._settings.agents)

    async def crawl_delay_s(self, url: str) -> float:
        """The Crawl-delay that the url's host asks of us. It is about pace: other agents' delays are not ours."""
        if not self._settings.robots.obey:
            return 0.0
        entry = await self._entries.get(target_of(url).origin)
        return entry.robots.crawl_delay_s(self._settings.agent) or 0.0

    async def close(self) -> None:
        await self._entries.close()

    async def _load(self, origin: str) -> tuple[Entry, int, bool]:
        answer = await self._ask(origin + "/robots.txt", MAX_BODY_BYTES + 1)
        entry = read_answer(answer)
        return entry, len(answer.body), entry.drop is None or entry.drop.reason not in _OURS


def judge_robots(robots: Robots, url: str, agents: Sequence[str]) -> Drop | None:
    """Why one of `agents` may not have `url`. The first is us; another one's no counts where the file names it.

    An agent that the file does not name falls under `*`, and so do we, unless the file speaks to us: then what it says
    to everybody else is not meant for us.
    """
    url = escape_octets(url.encode("utf-8", "surrogatepass")).decode("ascii")
    us, *others = agents
    for agent in (us, *(other for other in others if robots.names(other))):
        verdict = robots.allows(agent, url)
        if not verdict.allowed:
            return Drop(Reason.ROBOTS, None, f"{agent}: {verdict.rule}")
    return None


def read_answer(answer: Answer) -> Entry:
    """What an answer to /robots.txt means."""
    status, drop = answer.status, answer.drop
    if drop is None or (drop.reason == Reason.HTTP_STATUS and status is not None and 200 <= status < 300):
        return Entry(parse_robots(answer.body))
    if drop.reason in _LEADS_NOWHERE:  # as a missing file: RFC 9309 section 2.3.1.2
        return Entry(ALLOW_ALL)
    if drop.reason == Reason.HTTP_STATUS and status is not None and status < 500 and status != 429:
        return Entry(ALLOW_ALL)
    if drop.reason in _OURS or (drop.reason in _OF_THE_HOST and not answer.redirects):
        return Entry(ALLOW_ALL, drop)
    value = drop.value if drop.reason == Reason.HTTP_STATUS else None
    return Entry(ALLOW_ALL, Drop(Reason.ROBOTS_UNAVAILABLE, value, str(drop.reason)))


class TdmCache:
    """The rules of `/.well-known/tdmrep.json`; a host without a readable one has none."""

    def __init__(self, ask: Ask, settings: WebSettings) -> None:
        self._ask = ask
        self._rules = OriginCache(self._load, settings.robots.max_age_s)

    async def rules(self, url: str) -> tuple[TdmRule, ...]:
        return await self._rules.get(target_of(url).origin)

    async def close(self) -> None:
        await self._rules.close()

    async def _load(self, origin: str) -> tuple[tuple[TdmRule, ...], int, bool]:
        answer = await self._ask(origin + "/.well-known/tdmrep.json", MAX_TDMREP_BYTES + 1)
        rules = parse_tdmrep(answer.body) if answer.drop is None else ()
        return rules, len(answer.body), answer.drop is None or answer.drop.reason not in _OURS
