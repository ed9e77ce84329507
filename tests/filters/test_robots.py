"""robots.txt as RFC 9309 and Google's parser read it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.robots import MAX_BODY_BYTES, MAX_LINE_BYTES, escape_octets, matches, parse_robots, path_of

HOST = "http://foo.bar"


def group(*rules: str, agent: str = "FooBot") -> str:
    return "\n".join([f"user-agent: {agent}", *rules]) + "\n"


RFC_EXAMPLE = """User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""

GROUPS = """allow: /foo/bar/

user-agent: FooBot
disallow: /
allow: /x/
user-agent: BarBot
disallow: /
allow: /y/


allow: /w/
user-agent: BazBot

user-agent: FooBot
allow: /z/
disallow: /
"""

FISH = group("disallow: /", "allow: /fish")
FISH_STAR = group("disallow: /", "allow: /fish*")
FISH_SLASH = group("disallow: /", "allow: /fish/")
PHP = group("disallow: /", "allow: /*.php")
PHP_END = group("disallow: /", "allow: /*.php$")
FISH_PHP = group("disallow: /", "allow: /fish*.php")
INDEX = group("allow: /allowed-slash/index.html", "disallow: /", agent="*")
CASES = [
    # nothing, nobody, nowhere
    ("", "FooBot", "/", True),
    ("", "", "", True),
    (group("disallow: /"), "", "", True),
    (group("disallow: /"), "FooBot", "", False),
    (group("disallow: /"), "BarBot", "/x", True),
    # RFC 9309, section 5.1
    (RFC_EXAMPLE, "foobot", "/example/page.html", True),
    (RFC_EXAMPLE, "foobot", "/example/allowed.gif", True),
    (RFC_EXAMPLE, "foobot", "/publications/", False),
    (RFC_EXAMPLE, "barbot", "/example/page.html", False),
    (RFC_EXAMPLE, "bazbot", "/example/page.html", False),
    (RFC_EXAMPLE, "barbot", "/example/other.gif", True),
    (RFC_EXAMPLE, "quxbot", "/example/page.html", True),
    (RFC_EXAMPLE, "quxbot", "/x.gif", True),
    (RFC_EXAMPLE, "otherbot", "/x.gif", False),
    (RFC_EXAMPLE, "otherbot", "/x.gif?y", True),
    (RFC_EXAMPLE, "otherbot", "/example/", False),
    (RFC_EXAMPLE, "otherbot", "/publications/a", True),
    (RFC_EXAMPLE, "otherbot", "/publications/a.gif", True),
    # RFC 9309, section 5.2: the longest match
    (group("Allow: /example/page/", "Disallow: /example/page/disallowed.gif"), "foobot", "/example/page/", True),
    (
        group("Allow: /example/page/", "Disallow: /example/page/disallowed.gif"),
        "foobot",
        "/example/page/disallowed.gif",
        False,
    ),
    # the line: colon, forgotten colon, unknown keys
    ("user-agent: FooBot\ndisallow: /\n", "FooBot", "/x/y", False),
    ("foo: FooBot\nbar: /\n", "FooBot", "/x/y", True),
    ("user-agent FooBot\ndisallow /\n", "FooBot", "/x/y", False),
    ("user-agent FooBot\ndisallow \t /\n", "FooBot", "/x/y", False),
    ("user-agent FooBot\ndisallow / please\n", "FooBot", "/x/y", True),
    ("user-agent: FooBot\n: /\ndisallow:\n", "FooBot", "/x", True),
    ("user-agent : FooBot\n  disallow\t:   /x   \n", "FooBot", "/x", False),
    # groups
    (GROUPS, "FooBot", "/x/b", True),
    (GROUPS, "FooBot", "/z/d", True),
    (GROUPS, "FooBot", "/y/c", False),
    (GROUPS, "BarBot", "/y/c", True),
    (GROUPS, "BarBot", "/w/a", True),
    (GROUPS, "BarBot", "/z/d", False),
    (GROUPS, "BazBot", "/z/d", True),
    (GROUPS, "FooBot", "/foo/bar/", False),
    (GROUPS, "BarBot", "/foo/bar/", False),
    (GROUPS, "BazBot", "/foo/bar/", False),
    # other lines close no group
    ("User-agent: BarBot\nSitemap: https://foo.bar/s\nUser-agent: *\nDisallow: /\n", "FooBot", "/", False),
    ("User-agent: BarBot\nSitemap: https://foo.bar/s\nUser-agent: *\nDisallow: /\n", "BarBot", "/", False),
    ("User-agent: FooBot\nInvalid-Unknown-Line: u\nUser-agent: *\nDisallow: /\n", "FooBot", "/", False),
    ("User-agent: FooBot\nCrawl-delay: 3\nUser-agent: *\nDisallow: /\n", "FooBot", "/", False),
    # any case
    ("USER-AGENT: FooBot\nALLOW: /x/\nDISALLOW: /\n", "FooBot", "/x/y", True),
    ("uSeR-aGeNt: FooBot\nAlLoW: /x/\ndIsAlLoW: /\n", "FooBot", "/a/b", False),
    (group("allow: /x/", "disallow: /", agent="FOO BAR"), "foo", "/x/y", True),
    (group("allow: /x/", "disallow: /", agent="foo bar"), "Foo", "/a/b", False),
    (group("disallow: /X/"), "FooBot", "/x/y", True),
    # agents: up to the first character that no token has
    (group("disallow: /", agent="*") + group("allow: /x/", "disallow: /", agent="Foo Bar"), "Foo", "/x/y", True),
    (group("disallow: /", agent="*") + group("allow: /x/", "disallow: /", agent="Foo Bar"), "Foo Bar", "/x/y", False),
    (group("disallow: /", agent="FooBot/2.1"), "FooBot", "/", False),
    (group("disallow: /", agent="FooBot-News"), "FooBot", "/", True),
    (group("disallow: /", agent="Foo"), "FooBot", "/", True),
    (group("disallow: /", agent="* and others"), "FooBot", "/", False),
    (group("disallow: /", agent="*bot"), "FooBot", "/", True),
    (group("disallow: /", agent="ツ"), "FooBot", "/", True),
    # everybody's group is for those without their own
    (group("allow: /", agent="*") + group("disallow: /"), "FooBot", "/x/y", False),
    (group("allow: /", agent="*") + group("disallow: /"), "BarBot", "/x/y", True),
    (group("disallow: /x/", agent="*") + group("disallow: /y/"), "FooBot", "/x/page", True),
    (group("disallow: /x/", agent="*") + group("disallow: /y/"), "FooBot", "/y/page", False),
    (group("disallow: /", agent="*") + group("disallow:"), "FooBot", "/x", True),
    (group("disallow: /", agent="*") + "user-agent: FooBot\n", "FooBot", "/x", True),
    (group("disallow: /a", agent="*") + group("disallow: /b", agent="*"), "FooBot", "/a", False),
    # the longest match; allow wins a tie
    (group("disallow: /x/page.html", "allow: /x/"), "FooBot", "/x/page.html", False),
    (group("allow: /x/page.html", "disallow: /x/"), "FooBot", "/x/page.html", True),
    (group("allow: /x/page.html", "disallow: /x/"), "FooBot", "/x/", False),
    (group("disallow:", "allow:"), "FooBot", "/x/page.html", True),
    (group("disallow: /", "allow: /"), "FooBot", "/x", True),
    (group("disallow: /x", "allow: /x/"), "FooBot", "/x", False),
    (group("disallow: /x", "allow: /x/"), "FooBot", "/x/", True),
    (group("allow: /page", "disallow: /*.html"), "FooBot", "/page.html", False),
    (group("allow: /page", "disallow: /*.html"), "FooBot", "/page", True),
    (group("allow: /x/page.", "disallow: /*.html"), "FooBot", "/x/page.html", True),
    (group("allow: /x/page.", "disallow: /*.html"), "FooBot", "/x/y.html", False),
    (group("allow: /page", "disallow: /*.htm"), "FooBot", "/page.htm", False),
    (group("allow: /$", "disallow: /"), "FooBot", "/", True),
    (group("allow: /$", "disallow: /"), "FooBot", "/page.html", False),
    (group("allow: /folder", "disallow: /folder"), "FooBot", "/folder/page", True),
    # percent-encoding
    (
        group("disallow: /", "allow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par"),
        "FooBot",
        "/foo/bar?qux=taz&baz=http://foo.bar?tar&par",
        True,
    ),
    (group("disallow: /", "allow: /foo/bar/ツ"), "FooBot", "/foo/bar/%E3%83%84", True),
    (group("disallow: /", "allow: /foo/bar/ツ"), "FooBot", "/foo/bar/ツ", False),
    (group("disallow: /", "allow: /foo/bar/%E3%83%84"), "FooBot", "/foo/bar/%E3%83%84", True),
    (group("disallow: /", "allow: /foo/bar/%e3%83%84"), "FooBot", "/foo/bar/%E3%83%84", True),
    (group("disallow: /", "allow: /foo/bar/%62%61%7A"), "FooBot", "/foo/bar/baz", False),
    (group("disallow: /", "allow: /foo/bar/%62%61%7A"), "FooBot", "/foo/bar/%62%61%7A", True),
    (group("disallow: /100%"), "FooBot", "/100%", False),
    # * and $ and #
    (group("disallow: /foo/bar/quz", "allow: /foo/*/qux"), "FooBot", "/foo/bar/quz", False),
    (group("disallow: /foo/bar/quz", "allow: /foo/*/qux"), "FooBot", "/foo//quz", True),
    (group("disallow: /foo/bar$", "allow: /foo/bar/qux"), "FooBot", "/foo/bar", False),
    (group("disallow: /foo/bar$", "allow: /foo/bar/qux"), "FooBot", "/foo/bar/", True),
    (group("disallow: /foo/bar$", "allow: /foo/bar/qux"), "FooBot", "/foo/bar/baz", True),
    (group("# disallow: /", "disallow: /foo/quz#qux", "allow: /"), "FooBot", "/foo/bar", True),
    (group("# disallow: /", "disallow: /foo/quz#qux", "allow: /"), "FooBot", "/foo/quz", False),
    (group("disallow: /a$b"), "FooBot", "/a$b/c", False),
    (group("disallow: *"), "FooBot", "/anything", False),
    (group("disallow: $"), "FooBot", "/", True),
    (group("disallow: x"), "FooBot", "/x", True),
    (group("disallow: /a*b*$"), "FooBot", "/axxbxx", False),
    (group("disallow: /a**b"), "FooBot", "/a/b", False),
    # the index of a folder
    (INDEX, "foobot", "/allowed-slash/", True),
    (INDEX, "foobot", "/allowed-slash/index.htm", False),
    (INDEX, "foobot", "/allowed-slash/index.html", True),
    (INDEX, "foobot", "/anyother-url", False),
    (group("disallow: /dir/index.html"), "FooBot", "/dir/", True),
    # Google's documentation, "URL matching based on path values"
    *((FISH, "FooBot", p, True) for p in ("/fish", "/fish.html", "/fish/salmon.html", "/fishheads", "/fish.html?id=a")),
    *((FISH, "FooBot", p, False) for p in ("/bar", "/Fish.asp", "/catfish", "/?id=fish", "/desert/fish")),
    *((FISH_STAR, "FooBot", p, True) for p in ("/fish", "/fish.html", "/fishheads/yummy.html")),
    *((FISH_STAR, "FooBot", p, False) for p in ("/bar", "/Fish.bar", "/catfish", "/?id=fish")),
    *((FISH_SLASH, "FooBot", p, True) for p in ("/fish/", "/fish/salmon", "/fish/?salmon", "/fish/?id=anything")),
    *((FISH_SLASH, "FooBot", p, False) for p in ("/bar", "/fish", "/fish.html", "/Fish/Salmon.html")),
    *((PHP, "FooBot", p, True) for p in ("/a.php", "/f/a.php?p", "//f/any.php.file.html", "/index?f=a.php/")),
    *((PHP, "FooBot", p, False) for p in ("/bar", "/php/", "/index?php", "/windows.PHP")),
    *((PHP_END, "FooBot", p, True) for p in ("/a.php", "/folder/a.php")),
    *((PHP_END, "FooBot", p, False) for p in ("/a.php?p", "/a.php/", "/a.php5", "/php/", "/a?php", "//w.PHP")),
    *((FISH_PHP, "FooBot", p, True) for p in ("/fish.php", "/fishheads/catfish.php?parameters")),
    *((FISH_PHP, "FooBot", p, False) for p in ("/bar", "/Fish.PHP")),
    # misspellings
    *(
        (group(f"{key}: /x"), "FooBot", "/x", False)
        for key in ("dissallow", "dissalow", "disalow", "diasllow", "disallaw", "Disallowed")
    ),
    *((f"{key}: FooBot\ndisallow: /", "FooBot", "/x", False) for key in ("useragent", "user agent", "User-Agents")),
    # line ends, byte order marks, NUL
    ("user-agent: FooBot\rdisallow: /x\r", "FooBot", "/x", False),
    ("user-agent: FooBot\r\ndisallow: /x\r\nallow: /x/y\r\n", "FooBot", "/x/y", True),
    ("\ufeffuser-agent: FooBot\ndisallow: /x\n", "FooBot", "/x", False),
    ("user-agent: FooBot\n\n\ndisallow: /x\n", "FooBot", "/x", False),
    ("user-agent: FooBot\ndisallow: /x\0/y\n", "FooBot", "/x", False),
    # the file itself
    (group("disallow: /"), "FooBot", "/robots.txt", True),
    (group("disallow: /"), "FooBot", "/robots.txt.old", False),
]


@pytest.mark.parametrize(("robots", "agent", "path", "allowed"), CASES)
def test_robots_table(robots, agent, path, allowed):
    assert parse_robots(robots.encode()).allows(agent, HOST + path if path else "").allowed is allowed


def test_the_verdict_names_the_line_that_decides():
    robots = parse_robots(b"User-agent: *\nAllow: /a # yes\n Disallow:   /a/b\n")
    assert robots.allows("x", f"{HOST}/a/b") == (False, "Disallow:   /a/b")
    assert robots.allows("x", f"{HOST}/a") == (True, "Allow: /a")
    assert robots.allows("x", f"{HOST}/c") == (True, "")


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
def test_a_byte_order_mark_may_be_broken_off(mark):
    assert not parse_robots(mark + b"User-agent: *\nDisallow: /").allows("x", f"{HOST}/").allowed


def test_a_wrong_byte_order_mark_spoils_its_line():
    assert parse_robots(b"\xef\x11\xbfUser-agent: *\nDisallow: /").allows("x", f"{HOST}/").allowed


def test_lines_are_cut_at_their_cap():
    path = "/x/" + "a" * (MAX_LINE_BYTES - len("disallow: ") - 3)
    robots = parse_robots(f"user-agent: *\ndisallow: {path}/qux\n".encode())
    assert robots.allows("x", f"{HOST}/fux").allowed
    assert not robots.allows("x", f"{HOST}{path}/fux").allowed
    assert robots.allows("x", f"{HOST}{path[:-1]}").allowed


def test_what_stands_behind_500_kib_is_not_read_and_no_line_is_halved():
    head = b"user-agent: *\ndisallow: /a\n"
    filler = b"# filler\n" * ((MAX_BODY_BYTES - len(head)) // 9)
    body = head + filler + b"\nallow: /" + b"b" * 40 + b"\ndisallow: /c\n"
    robots = parse_robots(body)
    assert not robots.allows("x", f"{HOST}/a").allowed
    assert robots.allows("x", f"{HOST}/c").allowed
    assert robots.allows("x", f"{HOST}/").rule == ""


def test_broken_utf_8_is_compared_octet_by_octet():
    robots = parse_robots(b"user-agent: *\ndisallow: /\xff\xe3\n")
    assert not robots.allows("x", f"{HOST}/%FF%E3/x").allowed
    assert "Disallow" not in robots.allows("x", f"{HOST}/%FF").rule


@pytest.mark.parametrize(
    ("robots", "agent", "delay"),
    [
        ("user-agent: *\ncrawl-delay: 5\n", "x", 5.0),
        ("user-agent: *\nCrawl-Delay: 2.5 # slowly\ndisallow: /a\n", "x", 2.5),
        ("user-agent: x\ncrawl-delay: 7\n\nuser-agent: *\ndisallow: /\ncrawl-delay: 1\n", "x", 7.0),
        ("user-agent: x\ndisallow: /a\n\nuser-agent: *\ncrawl-delay: 9\n", "x", None),
        ("user-agent: *\ncrawl-delay: soon\n", "x", None),
        ("user-agent: *\ncrawl-delay: -1\n", "x", None),
        ("user-agent: *\ncrawl-delay: nan\n", "x", None),
        ("user-agent: *\ncrawl-delay: 1\ndisallow: /a\nuser-agent: *\ncrawl-delay: 3\n", "x", 3.0),
        ("crawl-delay: 5\n", "x", None),
    ],
)
def test_crawl_delay(robots, agent, delay):
    assert parse_robots(robots.encode()).crawl_delay_s(agent) == delay


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("", b"/"),
        ("http://www.example.com", b"/"),
        ("http://www.example.com/", b"/"),
        ("http://www.example.com/a#x", b"/a"),
        ("http://www.example.com#/a", b"/"),
        ("http://www.example.com?a", b"/?a"),
        ("http://www.example.com/a?b=http://c", b"/a?b=http://c"),
        ("www.example.com/a", b"/a"),
        ("//a/b/c", b"/b/c"),
        ("/a://b", b"/a://b"),
    ],
)
def test_path_of(url, path):
    assert path_of(url) == path


def as_regex(pattern: bytes) -> re.Pattern[bytes]:
    end = b"\\Z" if pattern.endswith(b"$") else b""
    body = pattern[:-1] if end else pattern
    return re.compile(b".*".join(re.escape(piece) for piece in body.split(b"*")) + end, re.DOTALL)


@given(st.text("ab*/$", max_size=8), st.text("ab/$", max_size=10))
def test_matching_is_what_a_regular_expression_says(pattern, path):
    assert matches(pattern.encode(), path.encode()) == bool(as_regex(pattern.encode()).match(path.encode()))


@given(st.binary(max_size=400))
def test_any_bytes_parse(body):
    verdict = parse_robots(b"user-agent: *\n" + body).allows("x", f"{HOST}/a")
    assert isinstance(verdict.rule, str)


@given(st.binary(max_size=40))
def test_escaping_twice_changes_nothing(octets):
    assert escape_octets(escape_octets(octets)) == escape_octets(octets)


def test_a_hostile_pattern_costs_little():
    robots = parse_robots(b"user-agent: *\ndisallow: /" + b"*a" * 8_000 + b"b\n")
    assert robots.allows("x", f"{HOST}/" + "a" * 8_000).allowed


@pytest.mark.parametrize(
    "line", ["img2dataset", "IMG2Dataset", "img2dataset/1.47", "img2dataset # us", "img2dataset v1"]
)
def test_an_agent_with_a_digit_in_its_name_is_meant_by_its_whole_name(line):
    robots = parse_robots(f"User-agent: {line}\nDisallow: /\nCrawl-delay: 7\n".encode())
    assert robots.names("img2dataset")
    assert not robots.allows("img2dataset", "http://a.test/x").allowed
    assert robots.crawl_delay_s("img2dataset") == 7
    assert robots.allows("img3dataset", "http://a.test/x").allowed
    assert robots.allows("dataset", "http://a.test/x").allowed
