"""Which addresses may be connected to."""

import asyncio

import pytest
from pydantic import ValidationError

from filters.reasons import Drop, Reason
from transforms.web.address import Resolver, is_public
from transforms.web.dns import Found
from transforms.web.settings import HostPace, WebSettings

FORBIDDEN = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "100::1",
    "nonsense",
]


@pytest.mark.parametrize("ip", FORBIDDEN)
def test_not_public(ip):
    assert not is_public(ip)


@pytest.mark.parametrize("ip", ["8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "2606:4700::1111"])
def test_public(ip):
    assert is_public(ip)


def resolve(settings: WebSettings, found, host="h.test", port=80):
    async def look_up(host):
        return found if isinstance(found, Drop) else Found(found, 60)

    return asyncio.run(Resolver(settings, look_up).addresses(host, port))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Drop(Reason.LOCAL_RESOLVER), Reason.LOCAL_RESOLVER),
        ([], Reason.DNS_NOT_FOUND),
        (["8.8.8.8", "10.0.0.1"], Reason.PRIVATE_ADDRESS),
        (["fe80::1%eth0"], Reason.PRIVATE_ADDRESS),
    ],
)
def test_what_a_look_up_comes_to(found, reason):
    assert resolve(WebSettings(), found).reason is reason


def test_the_client_gets_exactly_what_was_judged():
    assert resolve(WebSettings(), ["8.8.8.8", "2606:4700::1111"], port=443) == [
        ("8.8.8.8", 443),
        ("2606:4700::1111", 443),
    ]


def test_a_peer_is_judged_once_more():
    resolver = Resolver(WebSettings(connect_to={"a.test:80": "127.0.0.1:9"}, allow_private=["10.0.0.0/8"]))
    judged = {ip: resolver.judge_peer(ip) for ip in ("8.8.8.8", "127.0.0.1", "10.1.1.1", "192.168.0.1", "::1")}
    refused = Drop(Reason.PRIVATE_ADDRESS)
    assert judged == {"8.8.8.8": None, "127.0.0.1": None, "10.1.1.1": None, "192.168.0.1": refused, "::1": refused}


def test_ports():
    named = WebSettings(connect_to={"*.test:8080": "127.0.0.1:9"})
    private = WebSettings(allow_private=["10.0.0.0/8"])
    assert resolve(WebSettings(), ["8.8.8.8"], port=8080) == Drop(Reason.PORT_NOT_ALLOWED, 8080)
    assert resolve(WebSettings(ports=[8080]), ["8.8.8.8"], port=8080) == [("8.8.8.8", 8080)]
    assert resolve(named, [], port=8080) == [("127.0.0.1", 9)]
    assert resolve(private, ["10.1.1.1"], port=8080) == [("10.1.1.1", 8080)]
    assert resolve(private, ["8.8.8.8"], port=8080).reason is Reason.PORT_NOT_ALLOWED
    assert resolve(private, ["192.168.0.1"], port=80).reason is Reason.PRIVATE_ADDRESS


def test_connect_to_names_hosts_and_never_addresses():
    settings = WebSettings(connect_to={"*:80": "127.0.0.1:9"})
    assert settings.named_address("anything.example", 80) == ("127.0.0.1", 9)
    assert settings.named_address("anything.example", 443) is None
    assert settings.named_address("10.0.0.1", 80) is None
    assert settings.named_address("[::1]", 80) is None


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8080/a", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("http://shop.localhost:81/", True),
        ("http://a.test/x", True),
        ("https://a.test/x", False),
        ("http://example.org/", False),
        ("http://10.0.0.1/", False),
        ("nonsense", False),
    ],
)
def test_is_local(url, local):
    assert WebSettings(connect_to={"*.test:80": "127.0.0.1:8080"}).is_local(url) is local


def test_settings_that_make_no_sense_are_refused_by_value():
    with pytest.raises(ValidationError, match=r"10\.0\.0\.0/99"):
        WebSettings(allow_private=["10.0.0.0/99"])
    for target in ("127.0.0.1", "host:80", "127.0.0.1:99999"):
        with pytest.raises(ValidationError, match="expected"):
            WebSettings(connect_to={"a.test:80": target})
    with pytest.raises(ValidationError):
        WebSettings(connect_to={"a.test": "127.0.0.1:80"})
    with pytest.raises(ValidationError):
        WebSettings(agent="Pair mill/1")
    with pytest.raises(ValidationError, match=r"dns\.example: expected the address of a name server"):
        WebSettings(resolvers=["9.9.9.9", "[::1]:53", "dns.example"])


def test_json_settings_are_read_as_they_are_written():
    settings = WebSettings.model_validate_json(
        '{"ports": [80], "robots": {"also_obey": []}, "images": {"at_once": 1, "gap_s": 1}}'
    )
    assert (settings.ports, settings.agents, settings.images.gap_s) == ([80], ("Pairmill",), 1)
    assert settings.user_agent("0.1") == "Pairmill/0.1"
    assert WebSettings(contact="a@b.example").user_agent("0.1") == "Pairmill/0.1 (+a@b.example)"


def test_pace_by_host_pattern():
    settings = WebSettings(hosts=[HostPace(pattern="*.slow.test", gap_s=9.0), HostPace(pattern="*.test", at_once=7)])
    assert settings.pace("a.slow.test", "image") == settings.images.model_copy(update={"gap_s": 9.0})
    assert settings.pace("a.test", "page") == settings.pages.model_copy(update={"at_once": 7})
    assert settings.pace("example.org", "page") == settings.pages
