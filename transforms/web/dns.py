"""Look-ups of host names: asynchronous, with their time to live, by the resolvers of the machine or of the settings."""

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import NamedTuple

import aiodns
import pycares

from filters.reasons import Drop, Reason
from transforms.web.loop import loop_clock

MAX_NAMES = 100_000
MAX_TTL_S = 3_600
NO_SUCH_HOST_TTL_S = 60
AT_ONCE = 64  # more would look to a name server like an attack
TRIES = 2
_NO_SUCH_HOST = {pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA, pycares.errno.ARES_EBADNAME}


class Found(NamedTuple):
    """What a look-up says, and for how long."""

    ips: Sequence[str]
    ttl_s: float


Lookup = Callable[[str], Awaitable[Found | Drop]]


class NameServers:
    """The look-up of c-ares. `addresses`: name servers as `ip` or `ip:port`; none for those of the machine.

    It reads /etc/hosts and resolv.conf. A name that does not exist is the web's fault (DNS_NOT_FOUND, final); a
    server that fails, refuses or is silent is ours (LOCAL_RESOLVER, never final).
    """

    def __init__(self, addresses: Sequence[str], timeout_s: float) -> None:
        self._addresses = list(addresses) or None
        self._timeout_s = timeout_s
        self._resolver: aiodns.DNSResolver | None = None

    async def look_up(self, host: str) -> Found | Drop:
        if self._resolver is None:  # it belongs to the running loop
            self._resolver = aiodns.DNSResolver(self._addresses, timeout=self._timeout_s / TRIES, tries=TRIES)
        return together(await asyncio.gather(*(self._look_up(host, family) for family in _families())))

    async def _look_up(self, host: str, family: socket.AddressFamily) -> Found | Drop:
        """One family alone: asked for both, c-ares takes a failure of one and nothing of the other for "not there"."""
        assert self._resolver is not None
        try:
            async with loop_clock().timeout(self._timeout_s):
                found = await self._resolver.getaddrinfo(host, family, type=socket.SOCK_STREAM)
        except TimeoutError:
            return Drop(Reason.LOCAL_RESOLVER, None, "no answer in time")
        except aiodns.error.DNSError as error:
            return failure_of(host, error.args[0])
        except UnicodeError:  # a label longer than DNS allows
            return Drop(Reason.DNS_NOT_FOUND, None, host)
        return Found([node.addr[0].decode() for node in found.nodes], min(node.ttl for node in found.nodes))

    async def close(self) -> None:
        if self._resolver is not None:
            await self._resolver.close()


@cache
def _families() -> tuple[socket.AddressFamily, ...]:
    """IPv4 alone where this machine has no way to IPv6: what nobody could connect to is not asked for."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2001:db8::1", 53))  # sends nothing
    except OSError:
        return (socket.AF_INET,)
    return (socket.AF_INET, socket.AF_INET6)


def together(answers: Sequence[Found | Drop]) -> Found | Drop:
    """The addresses of both families; a name is missing only where nobody failed to say so."""
    found = [answer for answer in answers if isinstance(answer, Found)]
    if found:
        return Found([ip for answer in found for ip in answer.ips], min(answer.ttl_s for answer in found))
    drops = [answer for answer in answers if isinstance(answer, Drop)]
    return next((drop for drop in drops if drop.reason is Reason.LOCAL_RESOLVER), drops[0])


def failure_of(host: str, code: int) -> Drop:
    if code in _NO_SUCH_HOST:
        return Drop(Reason.DNS_NOT_FOUND, None, host)
    return Drop(Reason.LOCAL_RESOLVER, None, "look-up failed")


class Names:
    """Answers kept as long as they say; each name is looked up once however many ask at a time."""

    def __init__(self, look_up: Lookup, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Found | Drop]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Found | Drop]] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def ips(self, host: str) -> Sequence[str] | Drop:
        """The addresses of a name; a Drop where it has none, or nobody could say."""
        until_s, known = self._known.get(host, (0.0, None))
        if known is None or until_s <= self._clock():
            known = await asyncio.shield(self._asked(host))  # one impatient asker must not stop the others
        return known if isinstance(known, Drop) else known.ips

    def _asked(self, host: str) -> asyncio.Task[Found | Drop]:
        task = self._under_way.get(host)
        if task is None:
            task = self._under_way[host] = asyncio.create_task(self._ask(host))
        return task

    async def _ask(self, host: str) -> Found | Drop:
        try:
            async with self._gate:
                found = await self._look_up(host)
            self._keep(host, found)
            return found
        finally:
            del self._under_way[host]

    def _keep(self, host: str, found: Found | Drop) -> None:
        self._known.pop(host, None)
        if isinstance(found, Found):
            ttl_s = min(found.ttl_s, MAX_TTL_S)
        else:
            ttl_s = NO_SUCH_HOST_TTL_S if found.reason == Reason.DNS_NOT_FOUND else 0
        if ttl_s:
            self._known[host] = self._clock() + ttl_s, found
        if len(self._known) > MAX_NAMES:
            self._known.popitem(last=False)
