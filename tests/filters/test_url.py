import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.reasons import Reason
from filters.url import UrlRules, host_of, judge_url, normalise_url, sha256_hex, uid_of, uid_of_foreign

PARTS = st.text(alphabet="abzA0.:/@?#%\\[] \t\né猫-_~&=+;,'\"|{}\ud800", max_size=40)


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("HTTP://Example.ORG:80/a/../b.jpg#top", "http://example.org/b.jpg"),
        ("https://user:secret@example.org/a.jpg", "https://example.org/a.jpg"),
        ("https://user@example.org?x=a@b", "https://example.org/?x=a@b"),
        ("https://example.org/@a/b@c.jpg", "https://example.org/@a/b@c.jpg"),
        ("  http://example.org/a b\n.jpg ", "http://example.org/a%20b.jpg"),
        ("http://bücher.example/ü?ü", "http://xn--bcher-kva.example/%C3%BC?%C3%BC"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("https:\\\\example.org\\a.jpg", "https://example.org/a.jpg"),
        ("http://example.org/?", "http://example.org/?"),
        ("http://example.org/\ud800", "http://example.org/%EF%BF%BD"),
        ("ssh://git@example.org/x", "ssh://example.org/x"),
        ("mailto:a@example.org", "mailto:a@example.org"),
    ],
)
def test_identity_is_the_whatwg_url_without_fragment_and_credentials(url, identity):
    assert normalise_url(url) == identity


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("../x.jpg", "http://example.org/x.jpg"),
        ("//cdn.example/x.jpg", "http://cdn.example/x.jpg"),
        ("?a=1", "http://example.org/d/page?a=1"),
        ("", "http://example.org/d/page"),
    ],
)
def test_a_url_is_relative_to_its_base(url, identity):
    assert normalise_url(url, "http://me@example.org/d/page#here") == identity


@pytest.mark.parametrize(
    "url", ["", "x.jpg", "http://", "http://a b/", "http://[::1", "http://e.org:99999/", "//e.org"]
)
def test_what_does_not_parse_has_no_identity(url):
    assert normalise_url(url) is None


def test_a_base_that_does_not_parse_gives_none():
    assert normalise_url("x.jpg", "nonsense") is None


@given(st.one_of(PARTS, PARTS.map("http://example.org".__add__), PARTS.map("foo://u@h".__add__)))
@example("http://a@b@c/@")
@example("data:text/plain,a@b://c@d")
def test_identity_of_an_identity_is_itself(url):
    identity = normalise_url(url)
    if identity is not None:
        assert normalise_url(identity) == identity
        assert "#" not in identity


def test_uid_is_half_a_sha256():
    assert uid_of("http://example.org/a.jpg") == hashlib.sha256(b"http://example.org/a.jpg").digest()[:16]


def test_a_foreign_key_never_meets_another_or_a_url():
    uids = {uid_of_foreign("a", "bc"), uid_of_foreign("ab", "c"), uid_of("abc"), uid_of_foreign("", "abc")}
    assert len(uids) == 4


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.ORG:8080/x", "example.org"),
        ("https://example.org./x", "example.org"),
        ("http://[::1]:80/", "[::1]"),
        ("http://2130706433/", "127.0.0.1"),
        ("nonsense", ""),
        ("data:image/gif;base64,R0", ""),
        ("http://\ud800/", ""),
    ],
)
def test_host_is_the_name_without_port(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("x.jpg", Reason.URL_INVALID),
        ("", Reason.URL_INVALID),
        ("http://exa mple.org/", Reason.URL_INVALID),
        ("data:image/gif;base64,R0lGOD", Reason.URL_SCHEME),
        ("JavaScript:alert(1)", Reason.URL_SCHEME),
        ("blob:http://example.org/1", Reason.URL_SCHEME),
        ("about:blank", Reason.URL_SCHEME),
        ("ftp://example.org/x.jpg", Reason.URL_SCHEME),
        ("file:///etc/hostname", Reason.URL_SCHEME),
        ("gopher://example.org/", Reason.URL_SCHEME),
        ("http://example.org/" + "x" * 5_000, Reason.URL_TOO_LONG),
        ("http://bad.example/x.jpg", Reason.URL_BLOCKED),
        ("http://img.BAD.example.:8080/x.jpg", Reason.URL_BLOCKED),
        ("http://example.org/listed.jpg#f", Reason.URL_BLOCKED),
        ("http://example.org/digest.jpg", Reason.URL_BLOCKED),
        ("http://example.org/good.jpg", None),
        ("http://notbad.example/x.jpg", None),
    ],
)
def test_bad_urls_are_dropped_for_their_reason(url, reason):
    rules = UrlRules(
        blocked_hosts=["Bad.example"],
        blocked_urls=["http://example.org/listed.jpg", sha256_hex("http://example.org/digest.jpg").upper()],
    )
    drop = judge_url(url, rules)
    assert (drop and drop.reason) is reason


def test_the_length_limit_is_the_last_good_length():
    url = "http://example.org/" + "x" * 81
    assert judge_url(url, UrlRules(max_length=100)) is None
    assert judge_url(url + "x", UrlRules(max_length=100)).value == 101


@pytest.mark.parametrize("rules", [{"blocked_hosts": ["http://x/"]}, {"blocked_hosts": [""]}, {"blocked_urls": ["x"]}])
def test_a_block_list_with_nonsense_is_refused(rules):
    with pytest.raises(ValidationError):
        UrlRules(**rules)
