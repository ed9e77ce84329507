"""Which addresses may be connected to, and the look-up whose answer *is* connected to.

A host name is looked up once for a connection; what comes back is judged and handed to the connector, so that no
second look-up can answer something else (DNS rebinding). The same judgement meets every hop of a redirect.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult

from filters.reasons import Drop, Reason
from transforms.web.settings import Address, WebSettings, is_ip_literal

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]  # (host, port) -> ip addresses; raises OSError

_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
# The loops' own pools have four to six threads: slow name servers would make a queue that looks like their failure.
LOOKUPS_AT_ONCE = 64
_LOOKUP_THREADS = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="lookup")
# Transition formats that carry an IPv4 address: whoever answers behind it is decided by a gateway, not by us.
_CARRIERS = [
    ip_network(network)
    for network in (
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # local NAT64, RFC 8215
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
        "::/96",  # IPv4-compatible, deprecated
        "::ffff:0:0:0/96",  # IPv4-translated
    )
]
_NEVER = [
    ip_network("100.64.0.0/10"),
    ip_network("192.0.0.0/24"),
    ip_network("192.88.99.0/24"),
    ip_network("fec0::/10"),
]


class Refused(OSError):
    """Raised inside the connector, where only an OSError passes, and turned back into its drop by the client."""

    def __init__(self, drop: Drop) -> None:
        super().__init__(str(drop.reason))
        self.drop = drop


def is_public(ip: str) -> bool:
    """Whether an address belongs to somebody on the public internet, as far as its bits say."""
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False  # no host has such an address; some stacks connect to the IPv4 address inside
    if any(address in network for network in _CARRIERS + _NEVER if network.version == address.version):
        return False
    return address.is_global and not _is_special(address)


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    return (
        address.is_multicast
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_reserved
        or address.is_unspecified
    )


async def system_lookup(host: str, port: int) -> list[str]:
    """The system's resolver. Raises socket.gaierror."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_LOOKUP_THREADS, _lookup, host, port)


def _lookup(host: str, port: int) -> list[str]:
    flags = socket.AI_ADDRCONFIG  # no IPv6 addresses where this machine could not reach them
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [str(entry[4][0]) for entry in found]


class Resolver(AbstractResolver):
    """Looks a host up and lets through what may be connected to."""

    def __init__(self, settings: WebSettings, lookup: Lookup = system_lookup) -> None:
        self._settings = settings
        self._lookup = lookup
        self._at_once = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses for the connector. Raises Refused."""
        found = await self.addresses(host, port)
        if isinstance(found, Drop):
            raise Refused(found)
        return [_result(host, address) for address in found]

    async def close(self) -> None:
        """Nothing is held."""

    async def addresses(self, host: str, port: int) -> list[Address] | Drop:
        """Where to connect for a host name. One forbidden address forbids the host: it is no accident."""
        named = self._settings.named_address(host.rstrip("."), port)
        if named is not None:
            return [named]
        if is_ip_literal(host):
            return self.judge([host.strip("[]")], port)
        try:
            async with self._at_once:  # the wait for a thread is not the resolver's fault
                found = await asyncio.wait_for(self._lookup(host, port), self._settings.timeouts.connect_s)
        except TimeoutError:
            return Drop(Reason.LOCAL_RESOLVER, None, "no answer in time")
        except UnicodeError:  # a label longer than DNS allows
            return Drop(Reason.DNS_NOT_FOUND, None, host)
        except OSError as error:
            return lookup_drop(host, error)
        return self.judge(found, port) if found else Drop(Reason.DNS_NOT_FOUND, None, host)

    def judge(self, ips: Sequence[str], port: int) -> list[Address] | Drop:
        """All of `ips`, or why none."""
        allowed = [is_ip_literal(ip) and self._settings.allows_private(ip) for ip in ips]
        if any(not ours and not is_public(ip) for ip, ours in zip(ips, allowed, strict=True)):
            return Drop(Reason.PRIVATE_ADDRESS)
        if port not in self._settings.ports and not all(allowed):
            return Drop(Reason.PORT_NOT_ALLOWED, port)
        return [Address(ip, port) for ip in ips]

    def judge_port(self, host: str, port: int) -> Drop | None:
        """What can be said of a port before any look-up."""
        settings = self._settings
        if port in settings.ports or settings.named_address(host.rstrip("."), port) is not None:
            return None
        if settings.allow_private:  # known only once the host is looked up
            return None
        return Drop(Reason.PORT_NOT_ALLOWED, port)


def lookup_drop(host: str, error: OSError) -> Drop:
    """A host that does not exist is the web's fault; a resolver that does not answer is ours."""
    if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_HOST:
        return Drop(Reason.DNS_NOT_FOUND, None, host)
    if error.errno in (errno.ENETUNREACH, errno.ENETDOWN):
        return Drop(Reason.LOCAL_NETWORK, None, "network unreachable")
    return Drop(Reason.LOCAL_RESOLVER, None, "look-up failed")


def _result(host: str, address: Address) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    return ResolveResult(
        hostname=host,
        host=address.ip,
        port=address.port,
        family=family,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
