"""Redirects to hosts that other tasks own: handed over, so that each host is asked by one task alone."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command import Started, pairmill
from helpers.counting_server import CountingServer
from helpers.in_thread import in_thread
from helpers.pictures import noise
from helpers.raw_server import gaps_between, http

from transforms.partition import task_of

GAP_S, AT_ONCE, CLOCK_S = 0.1, 2, 0.03
ANSWER_S = 0.15
TASKS = 3
EACH = 14


def host_of_task(task: int) -> str:
    return next(f"h{n}.test" for n in range(100) if task_of(f"h{n}.test", TASKS) == task)


A, B, C = (host_of_task(task) for task in range(TASKS))


class Web(CountingServer):
    """Every host has pictures; some of A's live at B, some of B's at C, and some lead further."""

    def __init__(self) -> None:
        super().__init__(self.said, ANSWER_S)
        self.shade = 0

    def said(self, request) -> bytes:
        host, path = request.host, request.path
        if path == "/robots.txt":
            return http(200, b"User-agent: *\nDisallow: /closed/\n")
        name = path[1:].removesuffix(".jpg")
        moved = {(A, "moved"): f"http://{B}/from-a-", (B, "moved"): f"http://{C}/from-b-",
                 (A, "far"): f"http://{B}/far-", (B, "far"): f"http://{C}/far-",
                 (A, "closed"): f"http://{B}/closed/", (A, "private"): "http://10.0.0.1/",
                 (A, "round"): f"http://{B}/round-", (B, "round"): f"http://{A}/round-"}  # fmt: skip
        kind, _, number = name.rpartition("-")
        if (host, kind) in moved:
            return http(302, b"", f"Location: {moved[host, kind]}{number}.jpg")
        if not number.isdigit():
            return http(404)
        body = noise(int(number), self.shade)
        tag = f'"{hash(body)}"'
        return http(304) if request.headers.get("if-none-match") == tag else http(200, body, f"ETag: {tag}")


URLS = [f"http://{host}/own-{n}.jpg" for host in (A, B, C) for n in range(EACH)]
URLS += [f"http://{host}/moved-{n}.jpg" for host in (A, B) for n in range(EACH)]
URLS += [f"http://{A}/far-1.jpg", f"http://{A}/closed-1.jpg", f"http://{A}/private-1.jpg", f"http://{A}/round-1.jpg"]


@pytest.fixture(scope="module")
def web():
    with in_thread(Web()) as server:
        yield server


@pytest.fixture(scope="module")
def config(web, tmp_path_factory):
    folder = tmp_path_factory.mktemp("redirects")
    captions = [f"a picture with the number {n}" for n in range(len(URLS))]
    pq.write_table(pa.table({"url": URLS, "caption": captions}), folder / "t.parquet")
    (folder / "c.yaml").write_text(
        yaml.safe_dump(
            {
                "collect": {"tables": {"paths": [str(folder / "t.parquet")]}},
                "fetch": {"rows_per_task": -(-len(URLS) // TASKS), "rows_per_part": 20, "decoders": 1},
                "web": {"connect_to": {"*.test:80": f"127.0.0.1:{web.port}"}, "contact": "me@example.org"},
                "engine": {"workers": TASKS},
            }
        )
    )
    return folder / "c.yaml"


@pytest.fixture(scope="module")
def run(web, config):
    outcome = pairmill("run", config, "--run-dir", config.parent / "run", "--to", "fetch")
    assert outcome.code == 0, outcome.err
    web.first = list(web.log)
    return config.parent / "run"


def last_attempt(run, url: str) -> dict:
    outcome = pairmill("why", run, url, "--json")
    return [event for event in json.loads(outcome.out)["events"] if event["stage"] == "fetch"][-1]


def manifest(run) -> dict:
    return json.loads((run / "manifest/fetch.json").read_text())


def test_the_hosts_belong_to_different_tasks(run):
    plan = json.loads((run / "images/plan/0000.json").read_text())
    assert (plan["of"], plan["tasks"]) == (TASKS, [0, 1, 2])


def test_every_picture_is_there_in_the_end(run):
    assert manifest(run)["counts"] == {"rows": len(URLS), "images": len(URLS) - 3}
    moved = last_attempt(run, f"http://{A}/moved-3.jpg")
    assert (moved["what"], moved["round"], moved["redirects"]) == ("fetched", 1, 1)
    assert moved["final_url"] == f"http://{B}/from-a-3.jpg"
    far = last_attempt(run, f"http://{A}/far-1.jpg")
    assert (far["what"], far["redirects"], far["final_url"]) == ("fetched", 2, f"http://{C}/far-1.jpg")


@pytest.mark.parametrize(("name", "reason"), [("closed", "robots"), ("private", "private_address")])
def test_where_a_redirect_leads_is_judged_all_the_same(run, name, reason):
    assert last_attempt(run, f"http://{A}/{name}-1.jpg")["reason"] == reason


def test_going_round_in_circles_ends(run):
    assert last_attempt(run, f"http://{A}/round-1.jpg")["reason"] in ("redirect_loop", "too_many_redirects")


@pytest.mark.parametrize("host", [A, B, C])
def test_no_host_saw_more_than_its_limit(run, web, host):
    requests = [request for request in web.first if request.host == host]
    assert len(requests) > EACH
    assert min(gaps_between(requests)) >= GAP_S - CLOCK_S
    assert web.most[host] <= AT_ONCE


def test_slices_side_by_side_come_to_the_same(run, config, web):
    other = config.parent / "slices"
    words = ["run", config, "--run-dir", other]
    assert pairmill(*words, "--to", "collect").code == 0
    slices = [Started([*words, "--to", "fetch", "--part", f"{n}/2"]) for n in range(2)]
    outcomes = [started.wait() for started in slices]
    assert [outcome.code for outcome in outcomes] == [0, 0], [outcome.err for outcome in outcomes]
    assert manifest(other)["outputs"] == manifest(run)["outputs"]


def test_a_refresh_follows_them_too(run, web):
    """Nothing has changed at first; then everything has."""
    outcome = pairmill("refresh", run)
    assert outcome.code == 0, outcome.err
    assert manifest(run)["counts"]["images"] == len(URLS) - 3
    same = last_attempt(run, f"http://{A}/moved-3.jpg")
    assert (same["what"], same["redirects"]) == ("fetched", 1)
    web.shade = 60
    assert pairmill("refresh", run).code == 0
    assert manifest(run)["counts"]["images"] == 0
    assert last_attempt(run, f"http://{A}/far-1.jpg")["reason"] == "hash_mismatch"
