"""A url in its parts. Each request needs them at half a dozen places, and parsing costs as much as a look-up."""

from functools import lru_cache
from typing import NamedTuple

from ada_url import URL

from transforms.web.settings import is_ip_literal

PORTS = {"http": 80, "https": 443}
MAX_KNOWN = 2_048  # urls; as many wait for their turn


class Target(NamedTuple):
    """A serialised http(s) url."""

    url: str
    host: str  # as the url has it: an IPv6 address in brackets, a final dot kept
    port: int
    origin: str  # scheme, host and port
    is_ip: bool  # whether the host is an address


@lru_cache(MAX_KNOWN)
def target_of(url: str) -> Target:
    """Raises ValueError where `url` does not parse, KeyError where its scheme is another."""
    parsed = URL(url)
    href, host = parsed.href, parsed.hostname
    scheme, _, rest = href.partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2]
    port = authority[len(host) + 1 :]
    return Target(href, host, int(port or PORTS[scheme]), f"{scheme}://{authority}", is_ip_literal(host))
