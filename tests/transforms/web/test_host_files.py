"""robots.txt and tdmrep.json are asked once a day and host: over instances, tasks and stages, from the server's log."""

import asyncio
import time
from collections import Counter

import pytest
from helpers.raw_server import RawServer, http, settings_for

from filters.reasons import Reason
from transforms import rounds, run_dir, storage
from transforms.formats import parquet
from transforms.partition import task_of
from transforms.records import HostFile
from transforms.rounds import Request
from transforms.web import host_files
from transforms.web.host_files import HostFiles
from transforms.web.polite import PoliteWeb
from transforms.web.settings import RobotsSettings

REFUSE_Y = http(200, b"User-agent: *\nDisallow: /y\nCrawl-delay: 0.01\n")
DAY_S = 24 * 3600.0
OWN_FILES = ("/robots.txt", "/.well-known/tdmrep.json")


def ask(run, routes, task=0, tasks=1, host="a.test", **settings):
    """(reasons of /x and /y, how often each of the host's own files was asked for) of one instance."""

    async def main():
        async with RawServer({"/x": http(200, b"image")} | routes) as server:
            web_settings = settings_for(server, **settings)
            known = HostFiles(web_settings.robots.max_age_s, str(run), task, tasks)
            async with PoliteWeb(web_settings, host_files=known) as web:
                answers = await asyncio.gather(*(web.ask(f"http://{host}/{name}") for name in "xy"))
            asked = Counter(server.paths())
            return [answer.drop and answer.drop.reason for answer in answers], [asked[path] for path in OWN_FILES]

    return asyncio.run(main())


def test_the_next_instance_knows_what_the_one_before_was_told(tmp_path):
    assert ask(tmp_path, {"/robots.txt": REFUSE_Y}) == ([None, Reason.ROBOTS], [1, 1])
    assert ask(tmp_path, {}) == ([None, Reason.ROBOTS], [0, 0])
    assert len(list((tmp_path / "hosts").iterdir())) == 1  # who asks nothing writes nothing


def test_a_host_without_such_files_is_not_asked_twice_for_them(tmp_path):
    assert ask(tmp_path, {}) == ([None, Reason.HTTP_STATUS], [1, 1])
    assert ask(tmp_path, {}) == ([None, Reason.HTTP_STATUS], [0, 0])


@pytest.mark.parametrize(("before", "after"), [(16, 16), (16, 5), (5, 16), (6, 4), (1, 7)])
def test_the_owner_of_a_host_finds_what_another_number_of_tasks_asked(tmp_path, before, after):
    for tasks, counts in ((before, [1, 1]), (after, [0, 0])):
        for host in ("a.test", "b.test"):
            assert ask(tmp_path, {"/robots.txt": REFUSE_Y}, task_of(host, tasks), tasks, host)[1] == counts


def test_a_task_does_not_read_of_hosts_that_are_none_of_its_own(tmp_path):
    ask(tmp_path, {}, task_of("a.test", 4), 4)
    assert ask(tmp_path, {}, (task_of("a.test", 4) + 1) % 4, 4)[1] == [1, 1]


def test_what_is_older_than_a_day_is_asked_again(tmp_path):
    assert ask(tmp_path, {"/robots.txt": REFUSE_Y}, robots=RobotsSettings(max_age_s=0.5))[1] == [1, 1]
    time.sleep(0.5)
    assert ask(tmp_path, {}, robots=RobotsSettings(max_age_s=0.5)) == ([None, Reason.HTTP_STATUS], [1, 1])


def test_no_file_makes_the_day_longer(tmp_path):
    path = run_dir.host_files(str(tmp_path), 0, 1, "x")
    parquet.write_rows(path, HostFile, [HostFile("http://a.test", "/robots.txt", time.time() - 60, b"", "", None, "")])

    async def main():
        async with HostFiles(DAY_S, str(tmp_path)) as known:
            return known.left_s(known.find("http://a.test", "/robots.txt"))

    assert asyncio.run(main()) <= DAY_S - 60


def test_a_failure_counts_until_somebody_asks_again(tmp_path):
    broken = {"/robots.txt": http(500)}
    assert ask(tmp_path, broken) == ([Reason.ROBOTS_UNAVAILABLE] * 2, [1, 0])
    assert ask(tmp_path, {}) == ([Reason.ROBOTS_UNAVAILABLE] * 2, [0, 0])
    rounds.publish_request(str(tmp_path), 1, Request("redirects"))  # nobody's wish
    assert ask(tmp_path, {})[1] == [0, 0]
    rounds.publish_request(str(tmp_path), 2, Request("retry"))
    assert ask(tmp_path, {}) == ([None, Reason.HTTP_STATUS], [1, 1])
    assert ask(tmp_path, {})[1] == [0, 0]


def test_a_broken_tdmrep_is_asked_again_when_somebody_asks_again(tmp_path):
    broken = {"/.well-known/tdmrep.json": http(500)}
    assert [ask(tmp_path, broken)[1] for _ in range(2)] == [[1, 1], [0, 0]]
    storage.publish(run_dir.folder(str(tmp_path), "pages", "retries", "0002.json"), b"{}")
    assert ask(tmp_path, broken)[1] == [0, 1]


def test_a_failure_of_ours_is_not_kept(tmp_path):
    assert ask(tmp_path, {}, connect_to={}, resolvers=["127.0.0.1:9"])[0] == [Reason.LOCAL_RESOLVER] * 2
    assert ask(tmp_path, {}) == ([None, Reason.HTTP_STATUS], [1, 1])


def test_a_process_that_is_killed_has_written_what_it_asked(tmp_path, monkeypatch):
    """Nothing is closed here: the file is there while the instance still runs."""
    monkeypatch.setattr(host_files, "WRITE_AFTER_S", 0.01)

    async def main():
        served, known = RawServer({"/x": http(200, b"image")}), HostFiles(DAY_S, str(tmp_path))
        async with served as server, PoliteWeb(settings_for(server), host_files=known) as web:
            await web.ask("http://a.test/x")
            for _ in range(500):
                rows = list(parquet.read_all(str(tmp_path / "hosts"), "*.parquet", HostFile))
                if len(rows) == 2:
                    return rows
                await asyncio.sleep(0.01)

    assert {(row.origin, row.path) for row in asyncio.run(main())} == {("http://a.test", path) for path in OWN_FILES}


def test_bodies_beyond_the_memory_are_as_they_were(monkeypatch):
    """Kept and read in turn, most of them in a file of this machine; of the same body there is one."""
    monkeypatch.setattr(host_files, "MEMORY_BYTES", 100)
    bodies = [bytes([n]) * (n + 30) for n in range(20)]

    async def main():
        async with HostFiles(DAY_S) as known:
            for n in range(40):
                known.note(HostFile(f"http://{n}", "/robots.txt", time.time(), bodies[n % 20], "", None, ""))
                assert known.find(f"http://{n // 2}", "/robots.txt").body == bodies[n // 2 % 20]
            return [known.find(f"http://{n}", "/robots.txt").body for n in range(40)]

    assert asyncio.run(main()) == bodies * 2


def test_what_cannot_be_written_ends_the_task(tmp_path):
    (tmp_path / "hosts").write_text("no folder")
    with pytest.raises(storage.StorageError, match="hosts"):
        ask(tmp_path, {})
