"""Which addresses may be connected to, and the look-up whose answer *is* connected to.

A host name is looked up here; what comes back is judged and handed to curl, so that no second look-up can answer
something else (DNS rebinding). The same judgement meets every hop of a redirect.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from filters.reasons import Drop, Reason
from transforms.web.dns import Lookup, Names, NameServers
from transforms.web.settings import Address, WebSettings, is_ip_literal

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


@lru_cache(10_000)
def is_public(ip: str) -> bool:
    """Whether an address is one of the public internet, as far as its bits say."""
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


class Resolver:
    """Looks a host up and lets through what may be connected to."""

    def __init__(self, settings: WebSettings, look_up: Lookup | None = None) -> None:
        self._settings = settings
        self._servers = NameServers(settings.resolvers, settings.timeouts.connect_s)
        self._names = Names(look_up or self._servers.look_up)
        self._named_ips = settings.named_ips()

    async def close(self) -> None:
        await self._servers.close()

    async def addresses(self, host: str, port: int) -> list[Address] | Drop:
        """Where to connect for a host name. One forbidden address forbids the host: it is no accident."""
        named = self._settings.named_address(host.rstrip("."), port)
        if named is not None:
            return [named]
        if is_ip_literal(host):
            return self.judge([host.strip("[]")], port)
        found = await self._names.ips(host.rstrip("."))
        if isinstance(found, Drop):
            return found
        return self.judge(found, port) if found else Drop(Reason.DNS_NOT_FOUND, None, host)

    def judge(self, ips: Sequence[str], port: int) -> list[Address] | Drop:
        """All of `ips`, or why none."""
        allowed = [is_ip_literal(ip) and self._settings.allows_private(ip) for ip in ips]
        if any(not ours and not is_public(ip) for ip, ours in zip(ips, allowed, strict=True)):
            return Drop(Reason.PRIVATE_ADDRESS)
        if port not in self._settings.ports and not all(allowed):
            return Drop(Reason.PORT_NOT_ALLOWED, port)
        return [Address(ip, port) for ip in ips]

    def judge_peer(self, ip: str) -> Drop | None:
        """The last look, at an address that a connection leads to, just made or kept from before."""
        if is_public(ip) or self._settings.allows_private(ip) or ip in self._named_ips:
            return None
        return Drop(Reason.PRIVATE_ADDRESS)

    def judge_port(self, host: str, port: int) -> Drop | None:
        """What can be said of a port before any look-up."""
        settings = self._settings
        if port in settings.ports or settings.named_address(host.rstrip("."), port) is not None:
            return None
        if settings.allow_private:  # known only once the host is looked up
            return None
        return Drop(Reason.PORT_NOT_ALLOWED, port)
