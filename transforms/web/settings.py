"""Settings of the `web` section: who we are, whose no we obey, how fast we ask, what may be connected to."""

import ipaddress
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

from ada_url import URL
from pydantic import Field, ValidationInfo, field_validator

from filters.rules import Rules, operational

Kind = Literal["image", "page"]


class Address(NamedTuple):
    """Where to connect to."""

    ip: str
    port: int


class RobotsSettings(Rules):
    """robots.txt (RFC 9309)."""

    obey: bool = True  # off: nobody's robots.txt is asked for or obeyed
    # Agents that gather training data: a site that refuses one of them by name means us too.
    also_obey: list[str] = Field(default=["CCBot", "GPTBot", "Google-Extended", "img2dataset"])
    max_age_s: float = operational(24 * 3600, gt=0)  # RFC 9309 section 2.4
    max_redirects: int = Field(default=5, ge=0)  # RFC 9309 section 2.3.1.2


class OptOutSettings(Rules):
    """Which ways of saying no are honoured besides robots.txt."""

    x_robots_tag: bool = True  # the header X-Robots-Tag, of pages and images
    meta: bool = True  # meta tags named robots or like an agent
    tdmrep: bool = True  # TDMRep (W3C): tdm-reservation as header, meta tag or /.well-known/tdmrep.json


class Timeouts(Rules):
    """Deadlines of one request, in seconds."""

    connect_s: float = operational(5, gt=0)  # look-up, and then connection with TLS handshake
    read_s: float = operational(10, gt=0)  # between two pieces of the answer; img2dataset's default
    total_s: float = operational(30, gt=0)  # of the whole request, its redirects apart


class Pace(Rules):
    """How fast one host may be asked. Changes when rows are made, never which."""

    at_once: int = operational(..., ge=1)  # requests
    gap_s: float = operational(..., ge=0)  # between the starts of two requests


# Two images at once, at most ten a second; one page at once, a second apart.
USUAL_PACE = {"images": Pace(at_once=2, gap_s=0.1), "pages": Pace(at_once=1, gap_s=1.0)}


class HostPace(Rules):
    """Another pace for the hosts that a pattern names, such as `*.example.org`."""

    pattern: str = operational(...)  # of host names, such as *.example.org
    at_once: int | None = operational(None, ge=1)  # requests; null: as for all hosts
    gap_s: float | None = operational(None, ge=0)  # null: as for all hosts


class WebSettings(Rules):
    """Everything that decides how the web is asked."""

    contact: str = operational("")  # an e-mail address or a page, for site owners
    agent: str = Field(default="Pairmill", pattern=r"^[A-Za-z_-]+$")  # the product token that robots.txt knows
    robots: RobotsSettings = RobotsSettings()
    opt_outs: OptOutSettings = OptOutSettings()
    timeouts: Timeouts = operational(Timeouts())
    images: Pace = operational(USUAL_PACE["images"])
    pages: Pace = operational(USUAL_PACE["pages"])
    hosts: list[HostPace] = operational([])  # the first that matches counts
    max_crawl_delay_s: float = Field(default=30, ge=0)  # a host whose Crawl-delay is longer is not asked
    # A host whose rows would take longer at its pace is not asked for the rest.
    max_host_hours: float = Field(default=72, gt=0)
    max_redirects: int = Field(default=5, ge=0)  # of one url; curl allows 50, browsers 20
    max_header_bytes: int = Field(default=32 * 1024, ge=1024)  # of one header field; there may be 128
    max_image_bytes: int = Field(default=32 * 1024 * 1024, ge=1)  # as sent, and again after decompression
    max_page_bytes: int = Field(default=10 * 1024 * 1024, ge=1)  # as sent, and again after decompression
    ports: list[int] = Field(default=[80, 443])  # ports that may be asked; of WHATWG's schemes
    concurrency: int = operational(256, ge=1)  # requests under way in a process
    large_bodies_at_once: int = operational(8, ge=1)  # answers above 1 MiB: bounds the memory of bodies on their way
    retries: int = operational(2, ge=0)  # after 429 and 503
    give_up_after: int = Field(default=8, ge=1)  # answers of 429 or 503 in a row: a minute or two of waiting
    breaker_after: int = Field(default=5, ge=1)  # failures in a row, after which a host is left alone
    breaker_rest_s: float = operational(60, ge=0)  # for so long; the next failure begins another rest
    backoff_s: float = operational(1, ge=0)  # doubles with each answer of that kind
    max_backoff_s: float = operational(300, ge=0)  # the longest Retry-After that is waited for
    slow_after_s: float = operational(1, gt=0)  # hosts that answer later than this are asked one at a time
    connect_to: dict[str, str] = operational({})  # "host pattern:port" -> "ip:port", as curl's --connect-to
    allow_private: list[str] = operational([])  # networks such as 127.0.0.0/8 that may be connected to
    ca_file: str = operational("", is_path=True)  # more certificate authorities, PEM
    resolvers: list[str] = operational([])  # name servers, "ip" or "ip:port"; none: those of the machine
    # A task whose worker is silent that long is another's; half of it > connect_s.
    lease_s: float = operational(20, ge=2)

    @field_validator("images", "pages", mode="before")
    @classmethod
    def _with_the_usual(cls, pace: Any, info: ValidationInfo) -> Any:
        """One figure may be set alone; the other stays."""
        return USUAL_PACE[str(info.field_name)].model_dump() | pace if isinstance(pace, dict) else pace

    @field_validator("allow_private")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ipaddress.ip_network(network)  # its ValueError names the value
        return networks

    @field_validator("resolvers")
    @classmethod
    def _are_name_servers(cls, servers: list[str]) -> list[str]:
        for server in servers:
            if not is_ip_literal(server) and parse_address(server) is None:
                raise ValueError(
                    f'{server}: expected the address of a name server, such as "9.9.9.9" or "127.0.0.1:53"'
                )
        return servers

    @field_validator("connect_to")
    @classmethod
    def _are_addresses(cls, targets: dict[str, str]) -> dict[str, str]:
        for pattern, target in targets.items():
            if not pattern.rpartition(":")[2].isdigit() or parse_address(target) is None:
                raise ValueError(
                    f'{pattern}: {target}: expected "host:port": "ip:port", such as "a.test:80": "127.0.0.1:8080"'
                )
        return targets

    @property
    def agents(self) -> tuple[str, ...]:
        """Us and those whose no is a no to us; we come first."""
        return (self.agent, *self.robots.also_obey)

    def user_agent(self, version: str) -> str:
        contact = f" (+{self.contact})" if self.contact else ""
        return f"{self.agent}/{version}{contact}"

    def pace(self, host: str, kind: Kind) -> Pace:
        base = self.images if kind == "image" else self.pages
        for entry in self.hosts:
            if fnmatchcase(host, entry.pattern.lower()):
                at_once = base.at_once if entry.at_once is None else entry.at_once
                return Pace(at_once=at_once, gap_s=base.gap_s if entry.gap_s is None else entry.gap_s)
        return base

    def named_address(self, host: str, port: int) -> Address | None:
        """Where `connect_to` sends a host name. IP literals are no names: no pattern can open the way to one."""
        if is_ip_literal(host):
            return None
        for pattern, target in self.connect_to.items():
            glob, _, wanted = pattern.rpartition(":")
            if int(wanted) == port and fnmatchcase(host, glob.lower()):
                return parse_address(target)
        return None

    def named_ips(self) -> frozenset[str]:
        """All addresses that `connect_to` leads to."""
        found = (parse_address(target) for target in self.connect_to.values())
        return frozenset(address.ip for address in found if address is not None)

    def allows_private(self, ip: str) -> bool:
        address = parsed_ip(ip)
        return any(address in network for network in self._networks)

    @cached_property
    def _networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(network) for network in self.allow_private)

    def is_local(self, url: str) -> bool:
        """Whether a url's host is this machine: loopback, or sent there by `connect_to`."""
        try:
            parsed = URL(url)
        except ValueError:
            return False
        host = parsed.hostname.rstrip(".").strip("[]")
        if host == "localhost" or host.endswith(".localhost"):
            return True
        named = self.named_address(host, port_of(parsed))
        ip = named.ip if named else host
        return is_ip_literal(ip) and ipaddress.ip_address(ip).is_loopback


def port_of(url: URL) -> int:
    return int(url.port) if url.port else (443 if url.protocol == "https:" else 80)


@lru_cache(10_000)
def parsed_ip(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Raises ValueError."""
    return ipaddress.ip_address(ip)


def is_ip_literal(host: str) -> bool:
    if not host[-1:].isdigit() and ":" not in host:
        return False  # names, for the most part
    try:
        parsed_ip(host.strip("[]"))
    except ValueError:
        return False
    return True


def parse_address(text: str) -> Address | None:
    """`127.0.0.1:8080` or `[::1]:8080`."""
    ip, _, port = text.rpartition(":")
    if not is_ip_literal(ip) or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    return Address(ip.strip("[]"), int(port))
