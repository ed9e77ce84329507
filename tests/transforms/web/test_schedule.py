"""Pace: gaps, limits, waits."""

import asyncio
from itertools import pairwise

import pytest

from filters.reasons import Drop, Reason
from transforms.web.schedule import Schedule, StartGate, retry_after_s
from transforms.web.settings import Pace, WebSettings


def run(settings, pace, hosts, work_s=0.0, late_s=0.0, answer_s=0.0):
    """(host, start, end) of a request for each host name, all asked at once."""
    done = []

    async def one(schedule, host):
        async with schedule.turn(host, pace) as turn:
            await asyncio.sleep(late_s)
            start = asyncio.get_running_loop().time()
            turn.sent()
            await asyncio.sleep(answer_s)
            turn.answered()
            await asyncio.sleep(work_s)
            done.append((host, start, asyncio.get_running_loop().time()))

    async def main():
        schedule = Schedule(settings)
        await asyncio.gather(*(one(schedule, host) for host in hosts))

    asyncio.run(main())
    return sorted(done, key=lambda row: row[1])


def gaps(rows):
    return [b[1] - a[1] for a, b in pairwise(rows)]


def most_at_once(rows):
    return max(sum(start <= now < end for _, start, end in rows) for _, now, _ in rows)


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("answer_s", [0.0, 0.005, 0.05])
def test_starts_keep_their_gap(at_once, answer_s):
    rows = run(WebSettings(), Pace(at_once=at_once, gap_s=0.02), ["a"] * 8, work_s=0.03, answer_s=answer_s)
    assert min(gaps(rows)) >= 0.02
    assert most_at_once(rows) <= at_once


def test_a_late_connection_delays_the_next_start():
    rows = run(WebSettings(), Pace(at_once=2, gap_s=0.02), ["a"] * 5, late_s=0.03)
    assert min(gaps(rows)) >= 0.02


def test_hosts_do_not_wait_for_each_other():
    rows = run(WebSettings(), Pace(at_once=1, gap_s=0.1), [f"h{n}" for n in range(50)])
    assert rows[-1][1] - rows[0][1] < 0.1


def test_the_total_is_bounded():
    rows = run(WebSettings(concurrency=4), Pace(at_once=1, gap_s=0), [f"h{n}" for n in range(20)], work_s=0.01)
    assert most_at_once(rows) == 4


def test_mixed_kinds_keep_the_strictest_pace():
    async def main():
        loop = asyncio.get_running_loop()
        schedule = Schedule(WebSettings())
        async with schedule.turn("a", Pace(at_once=2, gap_s=0)):
            pass
        ends = loop.time()
        async with schedule.turn("a", Pace(at_once=1, gap_s=0.05)):
            first = loop.time() - ends
        ends = loop.time()
        async with schedule.turn("a", Pace(at_once=9, gap_s=0)):
            return first, loop.time() - ends

    assert min(asyncio.run(main())) >= 0.045


def test_a_host_that_slows_is_asked_slower():
    async def main():
        schedule = Schedule(WebSettings(slow_after_s=0.02))
        loop = asyncio.get_running_loop()
        starts = []
        for _ in range(2):
            async with schedule.turn("a", Pace(at_once=2, gap_s=0)) as turn:
                starts.append(loop.time())
                turn.sent()
                await asyncio.sleep(0.05)
                turn.answered()
        return starts

    first, second = asyncio.run(main())
    assert second - first >= 0.095  # the answer's 0.05 s, and as long again


def test_back_off_doubles_and_honours_retry_after():
    now = [0.0]

    async def main():
        settings = WebSettings(backoff_s=1.0, max_backoff_s=5.0, retries=2)
        schedule = Schedule(settings, clock=lambda: now[0], wall_clock=lambda: 0.0)
        async with schedule.turn("a", Pace(at_once=1, gap_s=0)):
            pass
        host = schedule._hosts["a"]
        holds = []
        for status, headers in [(503, ()), (429, ()), (503, (("Retry-After", "3"),)), (429, (("retry-after", "99"),))]:
            now[0] += 100
            again = schedule.judge_answer("a", status, headers)
            holds.append((again, host.hold_until_s - now[0]))
        schedule.judge_answer("a", 200, ())
        return holds, host.refusals

    holds, refusals = asyncio.run(main())
    assert holds == [(True, 1.0), (True, 2.0), (False, 3.0), (False, 5.0)]  # 99 s are too long
    assert refusals == 0


def test_a_host_has_only_so_many_hours():
    now = [0.0]

    async def main():
        schedule = Schedule(WebSettings(max_host_hours=1.0), clock=lambda: now[0])
        drops = []
        for _ in range(2):
            async with schedule.turn("a", Pace(at_once=1, gap_s=0)) as turn:
                drops.append(turn.drop)
            now[0] += 3601
        return drops

    first, second = asyncio.run(main())
    assert first is None
    assert (second.reason, second.value) == (Reason.HOST_BUDGET, 1.0)


def test_who_gives_up_waiting_blocks_nobody():
    async def main():
        schedule = Schedule(WebSettings())
        pace = Pace(at_once=1, gap_s=0.05)

        async def one():
            async with schedule.turn("a", pace):
                pass

        await one()
        waiting = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.wait_for(waiting[2], 1)
        return [task.cancelled() for task in waiting]

    assert asyncio.run(main()) == [True, True, False]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after_s(value, 60.0) == seconds


@pytest.mark.parametrize("follows", [True, False])
def test_who_follows_another_keeps_its_distance_from_what_that_one_asked(follows):
    async def first_start_s():
        schedule = Schedule(WebSettings(), follows=follows)
        began = asyncio.get_running_loop().time()
        async with schedule.turn("a", Pace(at_once=1, gap_s=0.2)):
            return asyncio.get_running_loop().time() - began

    waited_s = asyncio.run(first_start_s())
    assert (waited_s >= 0.2) == follows


def test_who_is_urgent_goes_first():
    """Pictures wait in memory for what tdmrep.json says of them: it must not queue up behind more of them."""
    order = []

    async def one(schedule, name, urgent=False):
        async with schedule.turn("a", Pace(at_once=1, gap_s=0.01), urgent) as turn:
            order.append(name)
            turn.sent()
            await asyncio.sleep(0.02)
            turn.answered()

    async def main():
        schedule = Schedule(WebSettings())
        first = [asyncio.create_task(one(schedule, number)) for number in range(5)]
        await asyncio.sleep(0.01)
        await asyncio.gather(*first, one(schedule, "tdmrep", urgent=True))

    asyncio.run(main())
    assert order[0] == 0
    assert order.index("tdmrep") <= 2  # the next in line stood at the gate already
    assert [name for name in order if name != "tdmrep"] == [0, 1, 2, 3, 4]


def test_a_place_at_the_door_that_nobody_wants_any_more_goes_to_the_next():
    async def main():
        gate = StartGate()
        await gate.acquire(False)
        gone, there = (asyncio.create_task(gate.acquire(False)) for _ in range(2))
        await asyncio.sleep(0)
        gate.release()  # it is given to the first
        gone.cancel()
        await asyncio.wait_for(there, 1)
        assert not gate.is_open
        gate.release()
        assert gate.is_open

    asyncio.run(main())


def test_nothing_is_asked_while_nobody_is_ready():
    async def main():
        ready = asyncio.Event()
        schedule, asked = Schedule(WebSettings(), ready=ready.wait), []

        async def one(host):
            async with schedule.turn(host, Pace(at_once=1, gap_s=0)):
                asked.append(host)

        waiting = [asyncio.create_task(one(host)) for host in ("a", "b")]
        await asyncio.sleep(0.05)
        assert asked == []
        ready.set()
        await asyncio.gather(*waiting)
        assert asked == ["a", "b"]

    asyncio.run(main())


@pytest.mark.parametrize(("gap_s", "begun"), [(0.0, 8), (0.05, 1)])
def test_without_a_gap_nobody_waits_for_the_connection_before(gap_s, begun):
    """None of ten is connected: so many as the host's pace allows are on their way, or one where a gap is to be kept."""

    async def main():
        schedule, connected, on_their_way = Schedule(WebSettings()), asyncio.Event(), []

        async def one(number):
            async with schedule.turn("a", Pace(at_once=8, gap_s=gap_s)) as turn:
                on_their_way.append(number)
                await connected.wait()
                turn.sent()
                turn.answered()

        asking = [asyncio.create_task(one(number)) for number in range(10)]
        await asyncio.sleep(0.02)
        counted = len(on_their_way)
        connected.set()
        await asyncio.gather(*asking)
        return counted, on_their_way

    assert asyncio.run(main()) == (begun, list(range(10)))


def test_a_gap_that_came_later_is_kept_from_what_is_still_connecting():
    async def main():
        schedule, connected, sent = Schedule(WebSettings()), asyncio.Event(), []
        loop = asyncio.get_running_loop()

        async def one(pace, until=None):
            async with schedule.turn("a", pace) as turn:
                if until is not None:
                    await until.wait()
                sent.append(loop.time())
                turn.sent()
                turn.answered()

        first = asyncio.create_task(one(Pace(at_once=4, gap_s=0), connected))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(one(Pace(at_once=4, gap_s=0.05)))
        await asyncio.sleep(0.01)
        assert sent == []
        connected.set()
        await asyncio.gather(first, second)
        return sent[1] - sent[0]

    assert asyncio.run(main()) >= 0.045


def slow_host(**settings):
    """A schedule that knows of one host that it takes 30 s to answer; its clock."""
    now = [0.0]
    schedule = Schedule(WebSettings(**settings), clock=lambda: now[0], wall_clock=lambda: now[0])
    return schedule, now


async def ask_slow_host(schedule, now):
    async with schedule.turn("a", Pace(at_once=1, gap_s=0)) as turn:
        turn.sent()
        now[0] += 30
        turn.answered()


async def refused_turn(schedule, now):
    async with schedule.turn("a", Pace(at_once=1, gap_s=0)) as turn:
        assert turn.drop is not None


async def refused_by_the_host(schedule, now):
    now[0] += 1_000
    async with schedule.turn("a", Pace(at_once=1, gap_s=0)) as turn:
        assert turn.drop is None
        turn.sent()
        turn.answered()
        schedule.note_end("a", 429, Drop(Reason.HTTP_STATUS, 429), turn)


async def no_connection(schedule, now):
    now[0] += 1_000
    async with schedule.turn("a", Pace(at_once=1, gap_s=0)) as turn:
        assert turn.drop is None


@pytest.mark.parametrize("fails", [refused_turn, refused_by_the_host, no_connection])
def test_what_is_no_answer_says_nothing_of_a_hosts_speed(fails):
    async def main():
        schedule, now = slow_host()
        await ask_slow_host(schedule, now)
        if fails is refused_turn:
            schedule._hosts["a"].refusals = 99
        for _ in range(20):
            await fails(schedule, now)
        return schedule._hosts["a"].latency_s

    assert asyncio.run(main()) == 30


def test_a_refused_turn_takes_nobodys_slot():
    """All slots are taken by another host; what is refused is said at once."""

    async def main():
        schedule, now = slow_host(concurrency=1)
        await ask_slow_host(schedule, now)
        schedule._hosts["a"].refusals = 99
        async with schedule.turn("b", Pace(at_once=1, gap_s=0)):
            await asyncio.wait_for(refused_turn(schedule, now), 5)

    asyncio.run(main())


def test_a_host_that_becomes_faster_is_asked_faster():
    async def main():
        schedule, now = slow_host()
        await ask_slow_host(schedule, now)
        for _ in range(30):
            now[0] += 1_000
            async with schedule.turn("a", Pace(at_once=1, gap_s=0)) as turn:
                turn.sent()
                turn.answered()
                schedule.note_end("a", 200, None, turn)
        return schedule._hosts["a"].latency_s

    assert asyncio.run(main()) < 0.01
