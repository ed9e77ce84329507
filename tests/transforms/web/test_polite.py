"""Manners, judged from the server's log."""

import asyncio
import gzip
import json

import pytest
from helpers.raw_server import SHORT, RawServer, gaps_between, http, settings_for

from filters.reasons import Drop, Reason
from transforms.web.dns import Found
from transforms.web.polite import PoliteWeb
from transforms.web.settings import OptOutSettings, Pace, RobotsSettings, Timeouts

IMAGE = http(200, b"image")
REFUSE_ALL = http(200, b"User-agent: *\nDisallow: /\n")


def ask(routes, urls=("http://a.test/x.jpg",), kind="image", page_url="", **settings):
    """(answers, server) of all `urls` asked at once."""

    async def main():
        served = RawServer({"/x.jpg": IMAGE} | routes)
        async with served as server, PoliteWeb(settings_for(server, **settings)) as web:
            return await asyncio.gather(*(web.ask(url, kind, page_url) for url in urls)), server

    return asyncio.run(main())


def reasons(answers):
    return [answer.drop and answer.drop.reason for answer in answers]


def asked(server):
    return [path for path in server.paths() if path not in ("/robots.txt", "/.well-known/tdmrep.json")]


def to(location):
    return http(302, b"", f"Location: {location}")


def robots_chain(hops):
    chain = {f"/r{n}": to(f"/r{n + 1}") for n in range(1, hops)} | {f"/r{hops}": REFUSE_ALL}
    return {"/robots.txt": to("/r1")} | chain


async def hang(request, writer):
    await asyncio.sleep(60)


async def hang_up(request, writer):
    writer.close()


BIG = b"User-agent: *\nDisallow: /x\n" + b"# filler\n" * 70_000 + b"Allow: /x.jpg\n"
ROBOTS = [
    (http(404), None),
    (http(401), None),
    (http(403), None),
    (http(410), None),
    (http(200), None),
    (http(204, b"", length=False), None),
    (http(200, b"<html>not found</html>"), None),
    (REFUSE_ALL, Reason.ROBOTS),
    (http(200, b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /\r\n"), Reason.ROBOTS),
    (http(200, gzip.compress(b"User-agent: *\nDisallow: /\n"), "Content-Encoding: gzip"), Reason.ROBOTS),
    (http(200, b"User-agent: pairMILL\nDisallow: /\n"), Reason.ROBOTS),
    (http(200, b"User-agent: gptbot\nDisallow: /\n"), Reason.ROBOTS),
    (http(200, b"User-agent: ccbot\nUser-agent: x\nDisallow: *.jpg$\n"), Reason.ROBOTS),
    (http(200, b"User-agent: otherbot\nDisallow: /\n"), None),
    (http(200, b"User-agent: *\nDisallow: /\nUser-agent: Pairmill\nAllow: /\n"), None),
    (http(200, b"User-agent: GPTBot\nDisallow: /\nUser-agent: Pairmill\nAllow: /\n"), Reason.ROBOTS),
    (http(200, b"User-agent: GPTBot\nDisallow:\nUser-agent: *\nDisallow: /\n"), Reason.ROBOTS),
    (http(500), Reason.ROBOTS_UNAVAILABLE),
    (http(503), Reason.ROBOTS_UNAVAILABLE),
    (http(429), Reason.ROBOTS_UNAVAILABLE),
    (hang, Reason.ROBOTS_UNAVAILABLE),
    (hang_up, Reason.ROBOTS_UNAVAILABLE),
    (http(200, b"broken", "Content-Encoding: gzip"), Reason.ROBOTS_UNAVAILABLE),
    (http(200, BIG), Reason.ROBOTS),
    (to("http://10.0.0.1/robots.txt"), Reason.ROBOTS_UNAVAILABLE),
    (to("/robots.txt"), None),
    (to("file:///etc/robots.txt"), None),
]


@pytest.mark.parametrize(("robots", "reason"), ROBOTS)
def test_what_robots_txt_answers(robots, reason):
    answers, server = ask({"/robots.txt": robots}, timeouts=SHORT if robots is hang else Timeouts())
    assert reasons(answers) == [reason]
    assert asked(server) == ([] if reason else ["/x.jpg"])


def test_robots_redirects_are_followed_five_times():
    assert reasons(ask(robots_chain(5))[0]) == [Reason.ROBOTS]
    assert reasons(ask(robots_chain(6))[0]) == [None]


def test_robots_on_another_host_hold_for_the_first():
    routes = {"a.test/robots.txt": to("http://b.test/robots.txt"), "b.test/robots.txt": REFUSE_ALL}
    assert reasons(ask(routes)[0]) == [Reason.ROBOTS]


def test_one_robots_a_host_however_many_ask():
    urls = [f"http://{host}.test/x.jpg?{n}" for host in "ab" for n in range(30)]
    answers, server = ask({"/robots.txt": http(200, b"User-agent: *\nDisallow: /y\n")}, urls)
    assert reasons(answers) == [None] * 60
    assert server.paths("a.test").count("/robots.txt") == 1
    assert server.paths("b.test").count("/robots.txt") == 1
    assert server.paths("a.test").count("/.well-known/tdmrep.json") == 1
    assert server.paths("a.test")[0] == "/robots.txt"


def test_the_detail_names_agent_and_rule():
    answers, _ = ask({"/robots.txt": http(200, b"User-agent: GPTBot\nDisallow: /x\n")})
    assert answers[0].drop.detail == "GPTBot: Disallow: /x"
    assert answers[0].status is None


def test_robots_see_canonical_percent_encoding():
    robots = http(200, "User-agent: *\nDisallow: /é\n".encode())
    answers, server = ask({"/robots.txt": robots}, ["http://a.test/é.jpg", "http://a.test/%c3%a9.jpg"])
    assert reasons(answers) == [Reason.ROBOTS] * 2
    assert not asked(server)


def test_robots_may_be_told_not_to_matter():
    answers, server = ask({"/robots.txt": REFUSE_ALL}, robots=RobotsSettings(obey=False))
    assert reasons(answers) == [None]
    assert "/robots.txt" not in server.paths()


def test_also_obey_is_a_setting():
    robots = http(200, b"User-agent: GPTBot\nDisallow: /\n")
    assert reasons(ask({"/robots.txt": robots}, robots=RobotsSettings(also_obey=[]))[0]) == [None]


def test_the_pages_host_is_asked_too():
    routes = {"page.test/robots.txt": http(200, b"User-agent: *\nDisallow: /private/\n")}
    answers, server = ask(routes, page_url="http://page.test/private/a.html")
    assert reasons(answers) == [Reason.ROBOTS]
    assert "page on page.test" in answers[0].drop.detail
    assert server.paths("a.test") == []
    assert reasons(ask(routes, page_url="http://page.test/public/a.html")[0]) == [None]
    assert reasons(ask(routes, page_url="not a url")[0]) == [None]


def test_a_pages_host_with_a_private_address_says_nothing():
    assert reasons(ask({}, page_url="http://192.168.7.7/page.html")[0]) == [None]


def test_every_hop_is_judged_by_its_own_robots():
    routes = {"a.test/x.jpg": to("http://b.test/secret.jpg"), "b.test/robots.txt": REFUSE_ALL}
    answers, server = ask(routes)
    assert reasons(answers) == [Reason.ROBOTS]
    assert (answers[0].redirects, answers[0].final_url) == (1, "http://b.test/secret.jpg")
    assert server.paths("b.test") == ["/robots.txt"]


def test_a_redirect_to_a_private_address_is_not_followed():
    answers, _ = ask({"/x.jpg": to("http://169.254.169.254/latest/meta-data/")})
    assert reasons(answers) == [Reason.PRIVATE_ADDRESS]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://10.1.2.3/x.jpg", Reason.PRIVATE_ADDRESS),
        ("http://a.test:81/x.jpg", Reason.PORT_NOT_ALLOWED),
        ("ftp://a.test/x.jpg", Reason.URL_SCHEME),
        ("http://", Reason.URL_INVALID),
    ],
)
def test_urls_that_cannot_be_asked_have_their_own_reason(url, reason):
    answers, server = ask({}, [url])
    assert reasons(answers) == [reason]
    assert not server.log


def test_crawl_delay_is_kept_between_all_requests():
    robots = http(200, b"User-agent: *\nCrawl-delay: 0.15\n")
    urls = [f"http://a.test/x.jpg?{n}" for n in range(3)]
    _, server = ask({"/robots.txt": robots}, urls, opt_outs=OptOutSettings(tdmrep=False))
    assert min(gaps_between(server.log)) >= 0.15
    assert server.most_in_flight == 1


def test_a_crawl_delay_that_is_too_long_is_a_no():
    answers, server = ask({"/robots.txt": http(200, b"User-agent: *\nCrawl-delay: 31\n")})
    assert (answers[0].drop.reason, answers[0].drop.value) == (Reason.CRAWL_DELAY_TOO_LONG, 31.0)
    assert not asked(server)


def test_gaps_and_limits_as_the_server_sees_them():
    async def slow(request, writer):
        await asyncio.sleep(0.03)
        writer.write(IMAGE)

    pace = Pace(at_once=2, gap_s=0.02)
    urls = [f"http://{host}.test/x.jpg?{n}" for host in "abc" for n in range(12)]
    answers, server = ask({"/x.jpg": slow}, urls, images=pace)
    assert reasons(answers) == [None] * 36
    for host in "abc":
        requests = [request for request in server.log if request.host == f"{host}.test"]
        assert len(requests) == 14
        assert min(gaps_between(requests)) >= 0.02
    assert server.most_in_flight <= 6


def test_429_and_503_are_asked_again_after_the_wait():
    times = []

    def busy(status, refusals):
        async def handler(request, writer):
            times.append(request)
            writer.write(http(status, b"", "Retry-After: 1") if len(times) <= refusals else IMAGE)

        return handler

    answers, _ = ask({"/x.jpg": busy(429, 1)})
    assert reasons(answers) == [None]
    assert gaps_between(times)[0] >= 1.0
    times.clear()
    answers, _ = ask({"/x.jpg": busy(503, 9)}, max_backoff_s=0.05)
    assert (answers[0].drop.reason, answers[0].drop.value) == (Reason.HTTP_STATUS, 503)
    assert len(times) == 3


def test_a_host_that_refuses_everything_is_given_up():
    urls = [f"http://a.test/y?{n}" for n in range(20)]
    answers, server = ask({"/y": http(503)}, urls, images=Pace(at_once=1, gap_s=0), max_backoff_s=0.01)
    assert reasons(answers) == [Reason.HTTP_STATUS] * 8 + [Reason.HOST_BUDGET] * 12
    assert len(asked(server)) == 8


OPT_OUTS = [
    (["X-Robots-Tag: noai"], True),
    (["x-robots-tag: nofollow", "X-ROBOTS-TAG: NOIMAGEINDEX"], True),
    (["X-Robots-Tag: otherbot: noai"], False),
    (["X-Robots-Tag: gptbot: noai"], True),
    (["tdm-reservation: 1"], True),
    (["TDM-Reservation: 0"], False),
    ([], False),
]


@pytest.mark.parametrize(("headers", "dropped"), OPT_OUTS)
def test_opt_outs_of_an_answer(headers, dropped):
    answers, _ = ask({"/x.jpg": http(200, b"image", *headers)})
    assert reasons(answers) == [Reason.OPT_OUT if dropped else None]
    assert answers[0].body == (b"" if dropped else b"image")
    everything = OptOutSettings(x_robots_tag=False, tdmrep=False)
    assert reasons(ask({"/x.jpg": http(200, b"image", *headers)}, opt_outs=everything)[0]) == [None]


TDM = http(200, json.dumps([{"location": "/x*", "tdm-reservation": 1}]).encode())


def test_tdmrep_file_and_what_overrides_it():
    routes = {"/.well-known/tdmrep.json": TDM, "/y.jpg": IMAGE}
    urls = ["http://a.test/x.jpg", "http://a.test/y.jpg"]
    assert reasons(ask(routes, urls)[0]) == [Reason.OPT_OUT, None]
    routes["/x.jpg"] = http(200, b"image", "tdm-reservation: 0")
    assert reasons(ask(routes, urls)[0]) == [None, None]


def test_tdmrep_is_not_asked_where_robots_forbid_it():
    routes = {"/.well-known/tdmrep.json": TDM, "/robots.txt": http(200, b"User-agent: *\nDisallow: /.well-known/")}
    answers, server = ask(routes)
    assert reasons(answers) == [None]
    assert server.paths() == ["/robots.txt", "/x.jpg"]


def test_a_page_has_the_last_word_on_its_own_reservation():
    open_page = http(200, b'<html><head><META NAME="TDM-Reservation" content="0"></head></html>')
    routes = {"/.well-known/tdmrep.json": TDM, "/x": open_page, "/xy": http(200, b"<p>page")}
    answers, _ = ask(routes, ["http://a.test/x", "http://a.test/xy"], kind="page")
    assert reasons(answers) == [None, Reason.PAGE_OPT_OUT]


def test_an_unknown_host_is_not_found():
    async def look_up(host):
        return Drop(Reason.DNS_NOT_FOUND, None, host)

    async def main():
        async with RawServer({}) as server, PoliteWeb(settings_for(server, connect_to={}), look_up=look_up) as web:
            return (await web.ask("http://nowhere.test/x.jpg")).drop

    drop = asyncio.run(main())
    assert (drop.reason, drop.detail) == (Reason.DNS_NOT_FOUND, "nowhere.test")


def test_a_resolver_of_ours_that_fails_is_never_remembered():
    """The first look-ups fail; later ones must be made again and succeed."""
    failures = iter([True, True])

    async def main():
        async with RawServer({"/x.jpg": IMAGE}) as server:

            async def look_up(host):
                if next(failures, False):
                    return Drop(Reason.LOCAL_RESOLVER, None, "look-up failed")
                return Found(["127.0.0.1"], 60)

            settings = settings_for(server, connect_to={}, allow_private=["127.0.0.0/8"])
            async with PoliteWeb(settings, look_up=look_up) as web:
                url = f"http://shaky.test:{server.port}/x.jpg"
                return [(await web.ask(url)).drop for _ in range(3)]

    first, second, third = asyncio.run(main())
    assert first.reason is second.reason is Reason.LOCAL_RESOLVER
    assert third is None


def test_the_same_answers_give_the_same_drops():
    routes = {"/y": hang, "/z": http(200, b"short", "X: y").replace(b"Length: 5", b"Length: 9")}
    urls = ["http://a.test/y", "http://a.test/z", "http://a.test/404", "http://10.0.0.1/"]
    timeouts = Timeouts(connect_s=1, read_s=0.2, total_s=2)
    first, second = (ask(routes, urls, timeouts=timeouts)[0] for _ in range(2))
    assert [answer.drop for answer in first] == [answer.drop for answer in second]


def test_thousands_of_asks_under_way():
    urls = [f"http://h{n % 40}.test/x.jpg?{n}" for n in range(2_000)]
    answers, server = ask({}, urls, images=Pace(at_once=2, gap_s=0), concurrency=32)
    assert reasons(answers) == [None] * 2_000
    assert server.most_in_flight <= 32
    assert len(asked(server)) == 2_000
