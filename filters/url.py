"""Urls: their identity, and which of them may be asked at all.

The identity of a url is what the WHATWG URL standard (https://url.spec.whatwg.org/) makes of it when it parses and
serialises it, without fragment and credentials: neither is part of what a server is asked for. It is final: another
identity would give every image another `uid`.
"""

import codecs
import hashlib
import re
from collections.abc import Iterable
from functools import cached_property, lru_cache

from ada_url import URL, join_url, normalize_url
from pydantic import Field, field_validator

from filters.reasons import Drop, Reason
from filters.rules import Rules

IDENTITY_VERSION = 1  # `url_identity` in manifests
UID_BYTES = 16

_AUTHORITY_END = re.compile(r"[/?#]")
# What a script was to fill in, as written or as a serialised url has it. A single brace is part of many a real url.
_TEMPLATE = re.compile(r"(?:\{|%7B){2}|\$(?:\{|%7B)|(?:<|%3C)%", re.IGNORECASE)
_SCHEME = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*):")
_NOT_IN_URLS = {ord(c): None for c in "\t\n\r"}
_ENDS = "".join(map(chr, range(0x21)))
_QUERY_BYTES = frozenset(range(0x21, 0x7F)) - frozenset(b"\"#<>'")  # the others are percent-encoded
_SHA256_HEX = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


class UrlRules(Rules):
    """Which image urls are worth a thought, before any request."""

    # RFC 9110 asks servers for 8,000 octets; real image urls end near 2,000, longer ones hold whole documents.
    max_length: int = Field(4_096, ge=1)  # characters of the identity
    blocked_hosts: list[str] = Field([])  # a host includes its subdomains
    blocked_urls: list[str] = Field([])  # urls, or the SHA-256 of their identity in hex

    @field_validator("blocked_hosts")
    @classmethod
    def _hosts_parse(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if _host_name(host) is None:
                raise ValueError(f'"{host}" is no host name; expected one such as example.org')
        return hosts

    @field_validator("blocked_urls")
    @classmethod
    def _urls_parse(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not _SHA256_HEX.fullmatch(url) and normalise_url(url) is None:
                raise ValueError(f'"{url}" is neither a url nor a SHA-256 in hex')
        return urls

    @cached_property
    def blocked_host_names(self) -> frozenset[str]:
        names = (_host_name(host) for host in self.blocked_hosts)
        return frozenset(name for name in names if name)

    @cached_property
    def blocked_digests(self) -> frozenset[str]:
        return frozenset(_digest_of_entry(url) for url in self.blocked_urls)


def normalise_url(url: str, base: str | None = None, codec: str = "utf-8") -> str | None:
    """The identity of `url`, relative to `base` where one is given; None where it does not parse.

    `codec` is the Python codec of the page that holds the url: the standard encodes queries in the page's encoding.
    """
    if not url.isascii() and codec != "utf-8":
        url = _encode_query(url, codec)
    try:
        href = normalize_url(url) if base is None else join_url(base, url)
    except ValueError:
        scalar = _scalar_values(url)
        return normalise_url(scalar, base) if scalar != url else None
    return _without_credentials(href.partition("#")[0])


def _encode_query(url: str, codec: str) -> str:
    """`url` with its query in percent signs, as https://url.spec.whatwg.org/#query-state has it; http(s) alone."""
    before, mark, fragment = url.partition("#")
    path, question, query = before.partition("?")
    scheme = _SCHEME.match(path)
    if query.isascii() or codec.startswith("utf-16") or (scheme and scheme[1].lower() not in ("http", "https")):
        return url
    query = query.translate(_NOT_IN_URLS).rstrip(_ENDS)
    if codec == "gbk":
        query = query.replace("€", "%80")  # the standard's encoder has one byte for it, Python's none
    encoded = query.encode(codec, "percent-references")
    return path + question + "".join(chr(b) if b in _QUERY_BYTES else f"%{b:02X}" for b in encoded) + mark + fragment


def _percent_reference(error: UnicodeError) -> tuple[str, int]:
    """What the encoding lacks is a character reference, percent-encoded."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(f"%26%23{ord(character)}%3B" for character in missing), error.end


codecs.register_error("percent-references", _percent_reference)


def _scalar_values(text: str) -> str:
    """Without lone surrogates: the standard works on scalar values."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _without_credentials(href: str) -> str:
    """`href` is serialised: an @ before the end of the authority can only end the credentials."""
    if "@" not in href:
        return href
    scheme, mark, rest = href.partition("://")
    if not mark or not scheme.isascii() or "/" in scheme or "@" in scheme:
        return href
    end = _AUTHORITY_END.search(rest)
    cut = end.start() if end else len(rest)
    return scheme + mark + rest[:cut].rpartition("@")[2] + rest[cut:]


def is_template(url: str) -> bool:
    """Whether a url still holds `{{`, `${` or `<%`: a script was to fill it in."""
    return bool(_TEMPLATE.search(url[:2_000]))


def uid_of(url_identity: str) -> bytes:
    """The `uid` (16 bytes) of a url's identity, or of a text that is no url."""
    return hashlib.sha256(url_identity.encode("utf-8", "surrogatepass")).digest()[:UID_BYTES]


def uid_of_foreign(dataset: str, key: str) -> bytes:
    """The `uid` (16 bytes) of a sample that has no url: a NUL, which no url holds, keeps the two apart."""
    return hashlib.sha256(f"{dataset}\0{key}".encode("utf-8", "surrogatepass")).digest()[:UID_BYTES]


@lru_cache(4_096)
def host_of(url: str) -> str:
    """The host name of a url, lower case, without port and final dot; "" where there is none."""
    try:
        return URL(url).hostname.rstrip(".")
    except ValueError:  # UnicodeEncodeError is one too
        return ""


def in_domain(host: str, domains: Iterable[str]) -> bool:
    """Whether `host` is one of `domains` (best a set) or a subdomain of one."""
    while host:
        if host in domains:
            return True
        host = host.partition(".")[2]
    return False


def judge_url(url: str, rules: UrlRules) -> Drop | None:
    """Why `url`, absolute, is not to be asked for, or None."""
    identity = normalise_url(url)
    if identity is None:
        return Drop(Reason.URL_INVALID, detail=url[:200])
    scheme = identity.partition(":")[0]
    if scheme not in ("http", "https"):
        return Drop(Reason.URL_SCHEME, detail=scheme)
    if is_template(identity):
        return Drop(Reason.URL_TEMPLATE, detail=url[:200])
    if len(identity) > rules.max_length:
        return Drop(Reason.URL_TOO_LONG, len(identity))
    return _judge_blocked(identity, rules)


def _judge_blocked(identity: str, rules: UrlRules) -> Drop | None:
    if rules.blocked_host_names:
        host = host_of(identity)
        if in_domain(host, rules.blocked_host_names):
            return Drop(Reason.URL_BLOCKED, detail=host)
    if rules.blocked_digests and sha256_hex(identity) in rules.blocked_digests:
        return Drop(Reason.URL_BLOCKED, detail="url")
    return None


def sha256_hex(url_identity: str) -> str:
    """What a block-list holds of a url that it does not want to name."""
    return hashlib.sha256(url_identity.encode("utf-8", "surrogatepass")).hexdigest()


def _digest_of_entry(entry: str) -> str:
    if _SHA256_HEX.fullmatch(entry):
        return entry.lower()
    return sha256_hex(normalise_url(entry) or entry)


def _host_name(host: str) -> str | None:
    """The host as a serialised url has it; None where it is no host name."""
    name = host.strip().removeprefix("*.").strip(".")
    if not name or any(mark in name for mark in "/@?#\\"):
        return None
    return host_of(f"http://{name}/") or None
