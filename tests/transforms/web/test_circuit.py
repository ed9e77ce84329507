"""A host that dies after its robots.txt was read: how often it is asked, and what its other urls cost. From its log."""

import asyncio

import pytest
from helpers.raw_server import RawServer, http, settings_for

from filters.reasons import ASKED_AGAIN, Drop, Reason, may_pass
from transforms.web.circuit import Circuit
from transforms.web.polite import PoliteWeb
from transforms.web.settings import Timeouts

ROBOTS = http(200, b"User-agent: *\nAllow: /\n")
DEAD = Drop(Reason.CONNECT_FAILED, None, "refused")
PACE = {"at_once": 2, "gap_s": 0.0}


class Web(RawServer):
    """`dead.test` answers for robots.txt alone; all others have every image."""

    def __init__(self, how: str = "hang up") -> None:
        super().__init__({})
        self.how = how

    async def _answer(self, request, writer) -> None:
        if request.path == "/robots.txt":
            writer.write(ROBOTS)
        elif not request.path.endswith(".jpg"):
            writer.write(http(404))
        elif request.host != "dead.test" or self.how == "alive":
            writer.write(http(200, b"image"))
        elif self.how == "hang up":
            writer.close()
        elif self.how == "silent":
            await asyncio.sleep(60)
        elif self.how == "drip":
            writer.write(http(200, b"", "Content-Length: 1000", length=False) + b"x")
            await asyncio.sleep(60)
        else:
            writer.write(http(500))
        await writer.drain()


def asked(server: RawServer, host: str = "dead.test") -> int:
    return sum(path.endswith(".jpg") for path in server.paths(host))


def urls(host: str, count: int, first: int = 0) -> list[str]:
    return [f"http://{host}/{n}.jpg" for n in range(first, first + count)]


async def answers_of(web: PoliteWeb, wanted: list[str]) -> list[Reason | None]:
    answers = await asyncio.gather(*(web.ask(url) for url in wanted))
    return [answer.drop and answer.drop.reason for answer in answers]


def settings(server: RawServer, **more):
    short = Timeouts(connect_s=1, read_s=0.2, total_s=0.4)
    return settings_for(server, images=PACE, pages=PACE, timeouts=short, **more)


@pytest.mark.parametrize(
    ("how", "reason"),
    [("hang up", Reason.CONNECTION_LOST), ("silent", Reason.TIMEOUT), ("drip", Reason.TIMEOUT)],
)
def test_a_dead_host_is_left_and_others_are_not(how, reason):
    async def main():
        async with Web(how) as server, PoliteWeb(settings(server)) as web:
            found = await answers_of(web, urls("dead.test", 50) + urls("good.test", 20))
            return found, server

    found, server = asyncio.run(main())
    tried = found[:50].count(reason)
    assert 5 <= tried <= 6  # two at once
    assert tried <= asked(server) <= tried + 1  # curl asks again where a kept connection is gone
    assert found[:50].count(Reason.HOST_UNREACHABLE) == 50 - tried
    assert found[50:] == [None] * 20
    assert asked(server, "good.test") == 20


def test_a_host_that_comes_back_is_asked_after_the_rest():
    async def main():
        async with Web() as server, PoliteWeb(settings(server, breaker_rest_s=0.3)) as web:
            await answers_of(web, urls("dead.test", 20))
            tried = asked(server)
            server.how = "alive"
            early = await answers_of(web, urls("dead.test", 3, 20))
            assert asked(server) == tried
            await asyncio.sleep(0.35)
            return early, await answers_of(web, urls("dead.test", 20, 30))

    early, late = asyncio.run(main())
    assert early == [Reason.HOST_UNREACHABLE] * 3
    assert late == [None] * 20


def test_one_that_stays_dead_costs_little_after_each_rest():
    async def main():
        async with Web() as server, PoliteWeb(settings(server, breaker_rest_s=0.3)) as web:
            await answers_of(web, urls("dead.test", 20))
            tried = asked(server)
            await asyncio.sleep(0.35)
            await answers_of(web, urls("dead.test", 20, 20))
            return asked(server) - tried

    assert 1 <= asyncio.run(main()) <= 2


def test_statuses_are_answers():
    async def main():
        async with Web("error") as server, PoliteWeb(settings(server)) as web:
            return await answers_of(web, urls("dead.test", 30))

    assert asyncio.run(main()) == [Reason.HTTP_STATUS] * 30


def test_an_answer_between_them_keeps_it_closed():
    circuit = Circuit(3, 60)
    for _ in range(10):
        circuit.note(None, DEAD, 0)
        circuit.note(None, DEAD, 0)
        circuit.note(404, Drop(Reason.HTTP_STATUS, 404), 0)
    assert circuit.judge(0) is None
    circuit.note(None, DEAD, 0)
    circuit.note(None, DEAD, 0)
    assert circuit.judge(0) is None
    circuit.note(None, DEAD, 0)
    assert circuit.judge(0) == (Reason.HOST_UNREACHABLE, 3, "failures in a row, the last connect_failed: refused")


@pytest.mark.parametrize("reason", [Reason.LOCAL_NETWORK, Reason.LOCAL_RESOLVER, Reason.DNS_NOT_FOUND])
def test_what_says_nothing_of_the_host_does_not_count(reason):
    circuit = Circuit(2, 60)
    for _ in range(10):
        circuit.note(None, Drop(reason), 0)
    assert circuit.judge(0) is None
    circuit.note(None, DEAD, 0)
    circuit.note(None, Drop(reason), 0)  # nor does it excuse it
    circuit.note(None, DEAD, 0)
    assert circuit.judge(59) is not None
    assert circuit.judge(60) is None


def test_the_row_may_be_asked_again():
    assert Reason.HOST_UNREACHABLE in ASKED_AGAIN
    assert may_pass(Drop(Reason.HOST_UNREACHABLE))
