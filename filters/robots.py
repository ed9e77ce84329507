"""Which urls a robots.txt lets an agent ask for.

RFC 9309, read as Google's open source parser reads it where the RFC is silent or the two differ: the longest pattern
wins, an allow wins a tie, groups of one agent are merged, common misspellings count, lines end at 16,663 bytes, and
patterns are compared octet by octet once their non-ASCII octets are percent-encoded and their hex is upper case.
`Crawl-delay` is in neither; it is read because site owners rely on it.
"""

import re
from typing import NamedTuple

MAX_BODY_BYTES = 500 * 1024  # RFC 9309 section 2.5
MAX_LINE_BYTES = 2083 * 8 - 1  # Google: a buffer of 16,664 bytes, one of them the final NUL

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_AGENT_TOKEN = re.compile(rb"[a-zA-Z_-]*")
_AGENT_NAME = re.compile(rb"[a-zA-Z0-9_.-]*")  # up to a version, as in "img2dataset/1.47"
_NOT_CANONICAL = re.compile(rb"%[0-9a-fA-F]{2}|[\x80-\xff]")
_SECONDS = re.compile(rb"(\d{1,9}(\.\d*)?|\.\d+)")
_GLOBAL = b"*"

_AGENT_KEYS = (b"user-agent", b"useragent", b"user agent")
_DISALLOW_KEYS = (b"disallow", b"dissallow", b"dissalow", b"disalow", b"diasllow", b"disallaw")
_DELAY_KEYS = (b"crawl-delay", b"crawldelay", b"crawl delay")


class Verdict(NamedTuple):
    """Whether a url may be asked for, and the line that says so; "" where no line does."""

    allowed: bool
    rule: str


class Rule(NamedTuple):
    """One allow or disallow line."""

    allow: bool
    pattern: bytes  # canonical percent-encoding
    text: str  # the line as written, without comment


class Group:
    """The rules below one or several user-agent lines."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.closed = False  # a rule came: the next user-agent line opens another group


class Robots:
    """A parsed robots.txt. Asking it costs no parsing; an agent is its product token, such as "Pairmill"."""

    def __init__(self) -> None:
        self._groups: dict[bytes, list[Group]] = {}
        self._delays: dict[bytes, float] = {}

    def allows(self, agent: str, url: str) -> Verdict:
        """The verdict for an absolute url, which is compared as it is: percent-encode it before (`escape_octets`)."""
        path = path_of(url)
        if path.partition(b"?")[0] == b"/robots.txt":  # RFC 9309 section 2.2.2: implicitly allowed
            return Verdict(True, "")
        allow, disallow = self._best_matches(agent, path)
        if disallow[0] > allow[0]:
            return Verdict(False, disallow[1])
        return Verdict(True, allow[1])

    def names(self, agent: str) -> bool:
        """Whether a group of the file is addressed to `agent`, rather than to everybody."""
        return _token(agent) in self._groups

    def crawl_delay_s(self, agent: str) -> float | None:
        """The delay that the agent's own groups ask for, else everybody's. The longest where there are several."""
        return self._delays.get(_token(agent) if self.names(agent) else _GLOBAL)

    def _best_matches(self, agent: str, path: bytes) -> tuple[tuple[int, str], tuple[int, str]]:
        best = {True: (0, ""), False: (0, "")}
        groups = self._groups.get(_token(agent) if self.names(agent) else _GLOBAL, [])
        for group in groups:
            for rule in group.rules:
                length = match_length(rule, path)
                if length > best[rule.allow][0]:
                    best[rule.allow] = (length, rule.text)
        return best[True], best[False]

    def _add_agent(self, token: bytes, group: Group) -> None:
        groups = self._groups.setdefault(token, [])
        if not any(known is group for known in groups):
            groups.append(group)

    def _add_delay(self, token: bytes, delay_s: float) -> None:
        self._delays[token] = max(delay_s, self._delays.get(token, 0.0))


def parse_robots(body: bytes) -> Robots:
    """Read a robots.txt, at most its first 500 KiB. Never fails: what is no rule is passed over."""
    robots = Robots()
    group = Group()
    agents: list[bytes] = []
    for line in _lines(body):
        key, value = _key_and_value(line)
        if key.startswith(_AGENT_KEYS):
            if group.closed:
                group, agents = Group(), []
            for token in _agents_of_line(value):
                agents.append(token)
                robots._add_agent(token, group)
        elif key.startswith((b"allow", *_DISALLOW_KEYS)) and agents:
            text = line.decode("utf-8", "replace")
            group.rules.append(Rule(key.startswith(b"allow"), escape_octets(value), text))
            group.closed = True
        elif key.startswith(_DELAY_KEYS) and _SECONDS.fullmatch(value):
            for token in agents:
                robots._add_delay(token, float(value))
    return robots


def path_of(url: str) -> bytes:
    """Path and query of a url, "/" where it has none. The fragment is left out."""
    octets = url.encode("utf-8", "surrogatepass")
    start = 2 if octets.startswith(b"//") else 0
    scheme_end = octets.find(b"://", start)
    early = re.search(rb"[/?;]", octets[start:])
    if scheme_end >= 0 and not (early and early.start() + start < scheme_end):
        start = scheme_end + 3
    found = re.search(rb"[/?;]", octets[start:])
    if not found or b"#" in octets[start : start + found.start()]:
        return b"/"
    path = octets[start + found.start() :].partition(b"#")[0]
    return path if path.startswith(b"/") else b"/" + path


def escape_octets(octets: bytes) -> bytes:
    """Percent-encode octets above 127, and write the hex of all percent-encodings in capitals."""
    return _NOT_CANONICAL.sub(_escape, octets)


def _escape(found: re.Match[bytes]) -> bytes:
    octets = found.group()
    return octets.upper() if len(octets) == 3 else b"%%%02X" % octets[0]


def match_length(rule: Rule, path: bytes) -> int:
    """The octets of the pattern that matches, the measure of how specific it is; -1 where it does not match."""
    if matches(rule.pattern, path):
        return len(rule.pattern)
    folder, slash, name = rule.pattern.rpartition(b"/")
    if rule.allow and slash and name.startswith(b"index.htm"):  # Google: who allows the index allows the folder
        pattern = folder + b"/$"
        return len(pattern) if matches(pattern, path) else -1
    return -1


def matches(pattern: bytes, path: bytes) -> bool:
    """Whether a path begins with the pattern; `*` stands for any octets, a final `$` for the end of the path."""
    anchored = pattern.endswith(b"$")
    first, *others = (pattern[:-1] if anchored else pattern).split(b"*")
    if not path.startswith(first):
        return False
    if not others:
        return not anchored or path == first
    last = others.pop() if anchored else b""
    offset = len(first)
    for piece in others:  # the leftmost match of each piece leaves the most room for the others
        found = path.find(piece, offset)
        if found < 0:
            return False
        offset = found + len(piece)
    return not anchored or (path.endswith(last) and len(path) - len(last) >= offset)


def _lines(body: bytes) -> list[bytes]:
    """Lines without comment and outer white space."""
    if len(body) > MAX_BODY_BYTES:  # half a line could say the opposite of the whole
        body = body[:MAX_BODY_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r"), 0)]
    # Google skips a broken byte order mark as far as it goes.
    body = body[next(size for size in (3, 2, 1, 0) if body.startswith(_BOM[:size])) :]
    lines = (line[:MAX_LINE_BYTES].partition(b"\0")[0] for line in _LINE_END.split(body))
    return [line.partition(b"#")[0].strip() for line in lines]


def _key_and_value(line: bytes) -> tuple[bytes, bytes]:
    """The key in lower case, and the value. White space stands for a forgotten colon between exactly two words."""
    key, colon, value = line.partition(b":")
    if colon:
        return key.strip().lower(), value.strip()
    words = re.split(rb"[ \t]+", line)
    return (words[0].lower(), words[1]) if len(words) == 2 else (b"", b"")


def _agents_of_line(value: bytes) -> set[bytes]:
    """The product token that a user-agent line names, in lower case; `*` for everybody.

    RFC 9309 knows letters, `_` and `-` alone, and Google reads a name as far as they go. Agents with digits in their
    names (img2dataset) are meant by their whole name, so that counts too.
    """
    if value == b"*" or (value.startswith(b"*") and value[1:2].isspace()):
        return {_GLOBAL}
    token, name = _AGENT_TOKEN.match(value), _AGENT_NAME.match(value)
    return {token.group().lower() if token else b"", name.group().lower() if name else b""}


def _token(agent: str) -> bytes:
    """`*` is no agent's name: who calls itself so is nobody in particular."""
    return b"" if agent == "*" else agent.encode("utf-8", "surrogatepass").lower()
