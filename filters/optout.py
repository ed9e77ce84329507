"""What the web says of being collected: `X-Robots-Tag`, `<meta name=robots>` and the TDM Reservation Protocol.

An agent is a product token in any case ("Pairmill", "GPTBot"). A directive without an agent is meant for everybody.
Sources: Google's robots meta tag specification, DeviantArt's `noai`, W3C TDMRep (Final Community Group Report, 2024).
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any, NamedTuple

from filters.reasons import Drop, Reason
from filters.robots import escape_octets, matches

OPT_OUT_TOKENS = frozenset({"noindex", "noimageindex", "noai", "noimageai", "noml", "none"})
NOFOLLOW_TOKENS = frozenset({"nofollow", "none"})
MAX_TDMREP_BYTES = 500 * 1024  # as for robots.txt: the protocol sets no limit
EVERYBODY = "*"

_KNOWN_TOKENS = OPT_OUT_TOKENS | NOFOLLOW_TOKENS
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_CLOCK_TIME = re.compile(r"\d\s*:\s*\d")
_AGENT_END = re.compile(r"[/\s]")
_BETWEEN_TOKENS = re.compile(r"[\s;]+")


class Directive(NamedTuple):
    """One word of a robots directive, in lower case, and the agent that it is meant for."""

    agent: str  # lower case, EVERYBODY where none is named
    token: str


class TdmRule(NamedTuple):
    """One entry of tdmrep.json."""

    location: str  # a path pattern as in robots.txt
    reserved: bool
    policy: str  # url, or ""


def judge_headers(values: Sequence[str], agents: Iterable[str]) -> Drop | None:
    """Whether one of the `X-Robots-Tag` values (one a header line) keeps one of `agents` off."""
    return _judge(((value, EVERYBODY) for value in values), agents, "X-Robots-Tag")


def judge_meta(pairs: Sequence[tuple[str, str]], agents: Iterable[str]) -> Drop | None:
    """The same for (name, content) of meta elements. Names other than `robots` and the agents' are passed over."""
    for content, agent in _scoped(pairs, agents):
        name = "robots" if agent == EVERYBODY else agent
        drop = _judge([(content, agent)], agents, f"meta {name}")
        if drop is not None:
            return drop
    return None


def _scoped(metas: Iterable[tuple[str, str]], agents: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(content, agent that it is for) of the meta elements that are named `robots` or as one of `agents`."""
    ours = _lower(agents)
    for name, content in metas:
        name = name.strip().lower()
        if name == "robots" or name in ours:
            yield content, EVERYBODY if name == "robots" else name


def says_nofollow(values: Iterable[str], metas: Iterable[tuple[str, str]], agents: Iterable[str]) -> bool:
    """Whether a page asks one of `agents`, or everybody, not to follow its links.

    `values` are its `X-Robots-Tag` values, `metas` the (name, content) of its meta elements.
    """
    scoped = [*((value, EVERYBODY) for value in values), *_scoped(metas, agents)]
    return any(_said(scoped, agents, NOFOLLOW_TOKENS))


def directives(value: str, agent: str = EVERYBODY) -> Iterator[Directive]:
    """The directives of one header value. `bot: a, b` scopes `a` and `b`; what comes before it is for `agent`."""
    in_date = False
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        name = name.strip()
        while colon and name not in _VALUED and not _CLOCK_TIME.search(f"{name[-1:]}:{rest[:4]}"):
            agent, in_date = _product(name), False
            name, colon, rest = (piece.strip() for piece in rest.partition(":"))
        if colon and name in _VALUED:
            in_date = name == "unavailable_after"
            # The value, and what somebody wrote behind it without a comma: "max-image-preview:none; noai".
            yield from (Directive(agent, token) for token in _tokens(rest)[1:] if token in _KNOWN_TOKENS)
        elif colon or (in_date and not _KNOWN_TOKENS.intersection(_tokens(part))):
            continue  # the rest of a date that has commas in it
        else:
            in_date = False
            yield from (Directive(agent, token) for token in _tokens(name))


def _tokens(text: str) -> list[str]:
    return [token for token in _BETWEEN_TOKENS.split(text) if token]


def _product(agent: str) -> str:
    """`bot/2.1 (x)` is the product `bot`."""
    return _AGENT_END.split(agent, maxsplit=1)[0] or EVERYBODY


def _judge(values: Iterable[tuple[str, str]], agents: Iterable[str], where: str) -> Drop | None:
    for agent, token in _said(values, agents, OPT_OUT_TOKENS):
        whom = "" if agent == EVERYBODY else f"{agent}: "
        return Drop(Reason.OPT_OUT, None, f"{whom}{token} in {where}")
    return None


def _said(values: Iterable[tuple[str, str]], agents: Iterable[str], tokens: Set[str]) -> Iterator[Directive]:
    """Those of `tokens` that (value, scope) pairs say to one of `agents` or to everybody."""
    ours = _lower(agents) | {EVERYBODY}
    for value, scope in values:
        yield from (said for said in directives(value, scope) if said.token in tokens and said.agent in ours)


def _lower(agents: Iterable[str]) -> frozenset[str]:
    return frozenset(agent.lower() for agent in agents)


def parse_tdmrep(body: bytes) -> tuple[TdmRule, ...]:
    """The rules of a `/.well-known/tdmrep.json`; none where it is no such file. Senseless entries are left out."""
    if len(body) > MAX_TDMREP_BYTES:
        return ()
    try:
        entries = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return ()
    if isinstance(entries, dict):
        entries = [entries]
    if not isinstance(entries, list):
        return ()
    return tuple(rule for rule in map(_tdm_rule, entries) if rule is not None)


def _tdm_rule(entry: Any) -> TdmRule | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("location"), str):
        return None
    reserved = _reservation(entry.get("tdm-reservation"))
    if reserved is None:
        return None
    policy = entry.get("tdm-policy")
    return TdmRule(entry["location"], reserved, policy if isinstance(policy, str) else "")


def _reservation(value: Any) -> bool | None:
    """1 reserves, 0 does not, anything else says nothing."""
    if isinstance(value, bool):
        return None
    return {"1": True, "0": False}.get(str(value).strip())


def tdm_reserved(
    file_rules: Sequence[TdmRule], url_path: str, header: str | None = None, meta: str | None = None
) -> bool:
    """Whether text and data mining is reserved: file, then header, then meta; the later overrides the earlier.

    `url_path` is path and query, percent-encoded. In the file the longest matching location wins, as in robots.txt.
    """
    reserved = _file_reserves(file_rules, url_path)
    for later in (header, meta):
        said = _reservation(later)
        if said is not None:
            reserved = said
    return reserved


def _file_reserves(rules: Sequence[TdmRule], url_path: str) -> bool:
    path = escape_octets(url_path.encode("utf-8", "surrogatepass"))
    best: tuple[int, bool] = (0, False)
    for rule in rules:
        pattern = escape_octets(rule.location.encode("utf-8", "surrogatepass"))
        if matches(pattern, path):
            best = max(best, (len(pattern), rule.reserved))
    return best[1]


def judge_tdm(header: str | None, meta: str | None, rules: Sequence[TdmRule] = (), url_path: str = "/") -> Drop | None:
    """The same as a judgement."""
    if not tdm_reserved(rules, url_path, header, meta):
        return None
    sources = (("meta", meta), ("header", header))
    where = next((name for name, value in sources if _reservation(value)), "tdmrep.json")
    return Drop(Reason.OPT_OUT, None, f"tdm-reservation in {where}")
