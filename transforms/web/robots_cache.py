"""What a host's robots.txt and tdmrep.json say, asked once a day and host.

The answers to robots.txt mean what RFC 9309 section 2.3.1 says: 2xx is read, 4xx (but 429) allows everything, as do
too many redirects; 5xx, 429 and silence refuse everything.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from filters.optout import MAX_TDMREP_BYTES, TdmRule, parse_tdmrep
from filters.reasons import Drop, Reason
from filters.robots import MAX_BODY_BYTES, Robots, escape_octets, parse_robots
from transforms.records import HostFile
from transforms.web.client import Answer
from transforms.web.host_files import ROBOTS, TDMREP, HostFiles
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
# The host was not asked: robots.txt or our own limits stand before it.
_NOT_ASKED = _OF_THE_HOST | {Reason.ROBOTS, Reason.ROBOTS_UNAVAILABLE, Reason.CRAWL_DELAY_TOO_LONG}
_LEADS_NOWHERE = frozenset({Reason.TOO_MANY_REDIRECTS, Reason.REDIRECT_LOOP, Reason.BAD_REDIRECT})


class Entry(NamedTuple):
    """A host's robots.txt, or why it refuses everything."""

    robots: Robots
    drop: Drop | None = None


class OriginCache(Generic[T]):
    """Values by origin, loaded once however many ask at a time; the least recently used go first."""

    def __init__(self, load: Callable[[str], Awaitable[tuple[T, int, float]]]) -> None:
        """`load` gives (value, bytes behind it, seconds for which it may be kept)."""
        self._load = load
        self._entries: OrderedDict[str, asyncio.Task[T]] = OrderedDict()
        self._until_s: dict[str, float] = {}  # of those that are loaded
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    async def get(self, origin: str) -> T:
        entry = self._entries.get(origin)
        if entry is None or time.monotonic() > self._until_s.get(origin, math.inf):
            self._until_s.pop(origin, None)
            entry = self._entries[origin] = asyncio.create_task(self._fill(origin))
        self._entries.move_to_end(origin)
        if entry.done():
            return entry.result()
        return await asyncio.shield(entry)  # one impatient asker must not stop the others

    async def close(self) -> None:
        tasks = [task for task in self._entries.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, origin: str) -> T:
        kept_s = 0.0
        try:
            value, size, kept_s = await self._load(origin)
            self._until_s[origin] = time.monotonic() + kept_s
            self._bytes += size - self._sizes.get(origin, 0)
            self._sizes[origin] = size
            return value
        finally:
            if kept_s <= 0:
                self._forget(origin)
            self._make_room()

    def _make_room(self) -> None:
        while len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            oldest = next((origin for origin, task in self._entries.items() if task.done()), None)
            if oldest is None:
                return
            self._forget(oldest)

    def _forget(self, origin: str) -> None:
        self._entries.pop(origin, None)
        self._until_s.pop(origin, None)
        self._bytes -= self._sizes.pop(origin, 0)


class RobotsCache:
    """What all hosts say to us and to those whose no we obey."""

    def __init__(self, ask: Ask, settings: WebSettings, files: HostFiles) -> None:
        self._ask = ask
        self._settings = settings
        self._files = files
        self._entries = OriginCache(self._load)

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

    async def _load(self, origin: str) -> tuple[Entry, int, float]:
        said = self._files.find(origin, ROBOTS)
        if said is not None:
            drop = Drop(Reason(said.reason), said.value, said.detail) if said.reason else None
            return Entry(parse_robots(said.body), drop), len(said.body), self._files.left_s(said)
        asked_s = time.time()
        answer = await self._ask(origin + ROBOTS, MAX_BODY_BYTES + 1)
        entry = read_answer(answer)
        if entry.drop is None or entry.drop.reason is Reason.ROBOTS_UNAVAILABLE:
            self._files.note(_host_file(origin, ROBOTS, asked_s, answer.body, entry.drop))
        is_ours = entry.drop is not None and entry.drop.reason in _OURS
        return entry, len(answer.body), 0.0 if is_ours else self._settings.robots.max_age_s


def _host_file(origin: str, path: str, asked_s: float, body: bytes, drop: Drop | None) -> HostFile:
    if drop is None:
        return HostFile(origin, path, asked_s, body, "", None, "")
    return HostFile(origin, path, asked_s, body, str(drop.reason), drop.value, drop.detail)


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
    if _says_nothing(answer):
        return Entry(ALLOW_ALL)
    if drop.reason in _OURS or (drop.reason in _OF_THE_HOST and not answer.redirects):
        return Entry(ALLOW_ALL, drop)
    value = drop.value if drop.reason == Reason.HTTP_STATUS else None
    return Entry(ALLOW_ALL, Drop(Reason.ROBOTS_UNAVAILABLE, value, str(drop.reason)))


def _says_nothing(answer: Answer) -> bool:
    """Whether an answer means that there is no such file, by RFC 9309 section 2.3.1: 4xx, and redirects without end."""
    status, drop = answer.status, answer.drop
    if drop is not None and drop.reason == Reason.HTTP_STATUS:
        return status is not None and status < 500 and status != 429
    return drop is not None and drop.reason in _LEADS_NOWHERE


class TdmCache:
    """The rules of `/.well-known/tdmrep.json`; a host without a readable one has none."""

    def __init__(self, ask: Ask, settings: WebSettings, files: HostFiles) -> None:
        self._ask = ask
        self._max_age_s = settings.robots.max_age_s
        self._files = files
        self._rules = OriginCache(self._load)

    async def rules(self, url: str) -> tuple[TdmRule, ...]:
        return await self._rules.get(target_of(url).origin)

    async def close(self) -> None:
        await self._rules.close()

    async def _load(self, origin: str) -> tuple[tuple[TdmRule, ...], int, float]:
        said = self._files.find(origin, TDMREP)
        if said is not None:
            return parse_tdmrep(said.body), len(said.body), self._files.left_s(said)
        asked_s = time.time()
        answer = await self._ask(origin + TDMREP, MAX_TDMREP_BYTES + 1)
        drop, body = answer.drop, answer.body if answer.drop is None else b""
        if drop is None or drop.reason not in _NOT_ASKED:
            is_final = drop is None or _says_nothing(answer)
            self._files.note(_host_file(origin, TDMREP, asked_s, body, None if is_final else drop))
        is_ours = drop is not None and drop.reason in _OURS
        return parse_tdmrep(body), len(body), 0.0 if is_ours else self._max_age_s
