"""What is remembered of hosts, and what their answers mean."""

import asyncio

import pytest

from filters.reasons import Drop, Reason
from transforms.web import robots_cache
from transforms.web.client import Reply, answer_of
from transforms.web.robots_cache import OriginCache, read_answer
from transforms.web.target import target_of

URL = "http://a.test/robots.txt"


@pytest.mark.parametrize(
    ("drop", "reason"),
    [
        (Drop(Reason.TLS_FAILED, None, "expired"), Reason.TLS_FAILED),
        (Drop(Reason.DNS_NOT_FOUND), Reason.DNS_NOT_FOUND),
        (Drop(Reason.PRIVATE_ADDRESS), Reason.PRIVATE_ADDRESS),
        (Drop(Reason.LOCAL_NETWORK), Reason.LOCAL_NETWORK),
        (Drop(Reason.CONNECT_FAILED), Reason.ROBOTS_UNAVAILABLE),
        (Drop(Reason.TIMEOUT, None, "total"), Reason.ROBOTS_UNAVAILABLE),
        (Drop(Reason.CONNECTION_LOST), Reason.ROBOTS_UNAVAILABLE),
        (Drop(Reason.BAD_HTTP), Reason.ROBOTS_UNAVAILABLE),
    ],
)
def test_a_host_that_cannot_be_asked_keeps_the_truer_reason(drop, reason):
    assert read_answer(answer_of(URL, [Reply(URL, drop=drop)])).drop.reason is reason


def test_a_redirect_to_a_dead_host_is_no_fault_of_the_first():
    replies = [Reply(URL, 302), Reply("http://b.test/", drop=Drop(Reason.DNS_NOT_FOUND))]
    assert read_answer(answer_of(URL, replies)).drop == Drop(Reason.ROBOTS_UNAVAILABLE, None, "dns_not_found")


def counting(size=1, kept_s=60.0):
    loads = []

    async def load(origin):
        loads.append(origin)
        await asyncio.sleep(0)
        return origin.upper(), size, kept_s

    return load, loads


def test_many_askers_one_load():
    load, loads = counting()

    async def main():
        cache = OriginCache(load)
        return await asyncio.gather(*(cache.get("a") for _ in range(50)), cache.get("b"))

    assert asyncio.run(main()) == ["A"] * 50 + ["B"]
    assert loads == ["a", "b"]


def test_what_may_not_be_kept_and_what_is_old_is_loaded_again():
    for kept_s in (0.0, 0.0001):
        load, loads = counting(kept_s=kept_s)

        async def main(load=load):
            cache = OriginCache(load)
            await cache.get("a")
            await asyncio.sleep(0.001)
            await cache.get("a")

        asyncio.run(main())
        assert loads == ["a", "a"]


@pytest.mark.parametrize(("entries", "size_bytes"), [(3, 1), (100, robots_cache.MAX_BYTES // 3)])
def test_the_least_recently_used_go_first(monkeypatch, entries, size_bytes):
    monkeypatch.setattr(robots_cache, "MAX_ENTRIES", entries)
    load, loads = counting(size_bytes)

    async def main():
        cache = OriginCache(load)
        for origin in ("a", "b", "c", "a", "d", "a", "b"):
            await cache.get(origin)
            await asyncio.sleep(0)

    asyncio.run(main())
    assert loads == ["a", "b", "c", "d", "b"]


def test_one_impatient_asker_stops_nobody():
    started = asyncio.Event()

    async def load(origin):
        started.set()
        await asyncio.sleep(0.01)
        return "value", 1, 60.0

    async def main():
        cache = OriginCache(load)
        first = asyncio.create_task(cache.get("a"))
        second = asyncio.create_task(cache.get("a"))
        await started.wait()
        first.cancel()
        return await second

    assert asyncio.run(main()) == "value"


def test_a_failed_load_is_forgotten():
    tries = []

    async def load(origin):
        tries.append(origin)
        raise KeyError(origin)

    async def main():
        cache = OriginCache(load)
        for _ in range(2):
            with pytest.raises(KeyError):
                await cache.get("a")

    asyncio.run(main())
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a.test/x", "http://a.test"),
        ("https://a.test:8443/x?y", "https://a.test:8443"),
        ("http://[::1]:81/", "http://[::1]:81"),
    ],
)
def test_origin_of(url, origin):
    assert target_of(url).origin == origin
