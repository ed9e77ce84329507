"""Look-ups against a real name server on loopback: what an answer means, how long it counts, how often it is asked."""

import asyncio

import pytest
from helpers.name_server import NXDOMAIN, REFUSED, SERVFAIL, NameServer, Said
from helpers.raw_server import RawServer, http

from filters.reasons import Drop, Reason
from transforms.web.address import Resolver
from transforms.web.client import Client
from transforms.web.dns import Found, Names, NameServers, together
from transforms.web.settings import Timeouts, WebSettings

FOUR, SIX = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"


def look_up(zone, host="h.test", timeout_s=5.0) -> tuple[Found | Drop, NameServer]:
    async def main():
        async with NameServer(zone) as server:
            servers = NameServers([server.address], timeout_s)
            try:
                return await servers.look_up(host), server
            finally:
                await servers.close()

    return asyncio.run(main())


def test_addresses_and_their_time_to_live():
    found, _ = look_up(lambda name: Said((FOUR,), 123))
    assert found == Found([FOUR], 123)


def test_another_name_in_between():
    found, _ = look_up(lambda name: Said((FOUR,), 7, cname="real.test"))
    assert found == Found([FOUR], 7)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(code=NXDOMAIN), Reason.DNS_NOT_FOUND),
        (Said(), Reason.DNS_NOT_FOUND),  # the name exists, and has no address
        (Said(code=SERVFAIL), Reason.LOCAL_RESOLVER),
        (Said(code=REFUSED), Reason.LOCAL_RESOLVER),
        (None, Reason.LOCAL_RESOLVER),  # silence
    ],
)
def test_whose_fault_a_failure_is(said, reason):
    drop, _ = look_up(lambda name: said, timeout_s=0.6)
    assert isinstance(drop, Drop)
    assert drop.reason is reason


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "a." * 130 + "test", "h..test"])
def test_names_that_dns_does_not_allow(host):
    drop, server = look_up(lambda name: Said((FOUR,)), host)
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.DNS_NOT_FOUND
    assert server.asked == []


def test_this_machine_is_known_without_a_name_server():
    found, server = look_up(lambda name: Said(code=NXDOMAIN), "localhost")
    assert isinstance(found, Found)
    assert "127.0.0.1" in found.ips
    assert server.asked == []


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_an_answer_counts_as_long_as_it_says():
    clock, asked = Clock(), []

    async def one(host):
        asked.append(host)
        return Found([FOUR], 30)

    async def main():
        names = Names(one, clock)
        for at_s in (0, 29, 31, 60, 62):
            clock.now_s = at_s
            assert await names.ips("h.test") == [FOUR]

    asyncio.run(main())
    assert len(asked) == 3


def test_one_question_for_all_who_ask_at_a_time_and_not_too_many_at_once():
    running = most = 0
    asked = []

    async def slow(host):
        nonlocal running, most
        asked.append(host)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return Found([FOUR], 30)

    async def main():
        names = Names(slow)
        await asyncio.gather(*(names.ips(f"h{n % 200}.test") for n in range(1000)))

    asyncio.run(main())
    assert len(asked) == 200
    assert most == 64


def test_a_missing_name_is_remembered_for_a_while_and_a_failure_of_ours_never():
    clock = Clock()
    said = {"gone.test": Drop(Reason.DNS_NOT_FOUND), "shaky.test": Drop(Reason.LOCAL_RESOLVER)}
    asked = []

    async def one(host):
        asked.append(host)
        return said[host]

    async def main():
        names = Names(one, clock)
        for at_s in (0, 59, 61):
            clock.now_s = at_s
            for host in said:
                assert await names.ips(host) == said[host]

    asyncio.run(main())
    assert asked.count("gone.test") == 2
    assert asked.count("shaky.test") == 3


def test_one_who_gives_up_does_not_stop_the_others():
    async def slow(host):
        await asyncio.sleep(0.05)
        return Found([FOUR], 30)

    async def main():
        names = Names(slow)
        first = asyncio.create_task(names.ips("h.test"))
        second = asyncio.create_task(names.ips("h.test"))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await second == [FOUR]

    asyncio.run(main())


def test_the_name_servers_of_the_settings_are_asked_and_a_changed_answer_reaches_nothing():
    """A resolver that says a public address first, then this machine: the second answer is judged anew."""
    answers = [Said(("127.0.0.1",), 0), Said((FOUR, "127.0.0.1"), 0), Said(("169.254.169.254",), 0)]

    def zone(name):
        return answers[max(0, len(server.asked) - 1)]

    server = NameServer(zone)

    async def main():
        async with RawServer({"/x": http(200, b"secret")}) as canary, server:
            settings = WebSettings(ports=[canary.port], resolvers=[server.address],
                                   timeouts=Timeouts(connect_s=1, read_s=1, total_s=2))  # fmt: skip
            async with Client(settings, "P", Resolver(settings)) as client:
                url = f"http://rebind.test:{canary.port}/x"
                drops = [(await client.get(url, max_bytes=9, accept="*/*")).drop for _ in range(3)]
            return drops, canary.connections, server.asked

    drops, connections, asked = asyncio.run(main())
    assert [drop.reason for drop in drops] == [Reason.PRIVATE_ADDRESS] * 3
    assert connections == 0
    assert asked == ["rebind.test"] * 3


V4, V6 = Found(["192.0.2.1"], 60), Found(["2001:db8::1"], 5)
MISSING, BROKEN = Drop(Reason.DNS_NOT_FOUND, None, "a.example"), Drop(Reason.LOCAL_RESOLVER, None, "look-up failed")


@pytest.mark.parametrize(("answers", "expected"), [
    ([V4, V6], Found(["192.0.2.1", "2001:db8::1"], 5)), ([V4, MISSING], V4), ([BROKEN, V6], V6),
    ([MISSING, MISSING], MISSING), ([BROKEN, MISSING], BROKEN), ([MISSING, BROKEN], BROKEN), ([MISSING], MISSING),
])  # fmt: skip
def test_a_name_is_missing_only_where_nobody_failed(answers, expected):
    assert together(answers) == expected
