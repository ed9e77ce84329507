"""`retry` and `refresh`: who is asked again, what stands afterwards, and what the shards hold, from the server's log."""

import json
import shutil
import tarfile
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command import pairmill
from helpers.in_thread import in_thread
from helpers.pictures import noise
from helpers.raw_server import RawServer, http

COUNT = 40
ETAGGED, DATED, PLAIN = range(5), range(5, 10), range(10, 20)  # fetched at once, each with another validator
DOWN, GONE = range(20, 32), range(32, 36)  # 503 at first; 404 for ever
REFUSED = range(36, 40)
DATE = "Mon, 02 Nov 2026 10:00:00 GMT"


class Web(RawServer):
    """Pictures with validators; changes its mind when the test says so."""

    def __init__(self) -> None:
        self.bodies = {number: noise(number) for number in range(COUNT)}
        self.down = set(DOWN)
        self.gone = set(GONE)
        routes = {f"/{number}.jpg": self._picture for number in range(COUNT)}
        refuse = "".join(f"Disallow: /{number}.jpg\n" for number in REFUSED)
        super().__init__(routes | {"/robots.txt": http(200, f"User-agent: *\n{refuse}".encode())})

    async def _picture(self, request, writer) -> None:
        writer.write(self._said(int(request.path[1:].partition(".")[0]), request.headers))
        await writer.drain()

    def _said(self, number: int, headers: dict[str, str]) -> bytes:
        if number in self.down or number in self.gone:
            return http(503 if number in self.down else 404)
        body = self.bodies[number]
        if number in ETAGGED:
            tag = f'"{hash(body)}"'
            return http(304) if headers.get("if-none-match") == tag else http(200, body, f"ETag: {tag}")
        if number in DATED:
            same = headers.get("if-modified-since") == DATE and body == noise(number)
            return http(304) if same else http(200, body, f"Last-Modified: {DATE}")
        return http(200, body)

    def asked(self) -> Counter[int]:
        """How often each picture was asked for since the last call."""
        found = Counter(int(r.path[1:].partition(".")[0]) for r in self.log if r.path.endswith(".jpg"))
        self.log.clear()
        return found


@pytest.fixture
def web():
    with in_thread(Web()) as server:
        yield server


@pytest.fixture
def run(web, tmp_path):
    """A run of 40 urls: 20 images, 12 hosts that were down, 4 that are gone, 4 that robots.txt refuses."""
    urls = [f"http://a.test/{number}.jpg" for number in range(COUNT)]
    captions = [f"the noise with the number {number}" for number in range(COUNT)]
    pq.write_table(pa.table({"url": urls, "caption": captions}), tmp_path / "t.parquet")
    config = {
        "collect": {"tables": {"paths": [str(tmp_path / "t.parquet")]}},
        "fetch": {"rows_per_part": 7, "rows_per_task": 20},
        "web": {
            "connect_to": {"*.test:80": f"127.0.0.1:{web.port}"},
            "contact": "me@example.org",
            "images": {"at_once": 8, "gap_s": 0.0},
            "retries": 0,
            "backoff_s": 0.01,
            "give_up_after": 100,
        },
        "score": {"model": "none"},
        "select": {"rules": [{"rule": "exact_duplicate"}]},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    outcome = pairmill("run", tmp_path / "c.yaml", "--run-dir", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert set(web.asked()) == set(range(REFUSED.start))
    return tmp_path / "run"


def packed(run) -> set[int]:
    """The numbers of the pictures in the shards."""
    found = set()
    for path in (run / "shards/main").glob("*.tar"):
        with tarfile.open(path) as tar:
            for name in (n for n in tar.getnames() if n.endswith(".json")):
                file = tar.extractfile(name)
                assert file is not None
                found.add(int(json.loads(file.read())["url"].rpartition("/")[2].partition(".")[0]))
    return found


def life(run, number: int) -> list[dict]:
    outcome = pairmill("why", run, f"http://a.test/{number}.jpg", "--json")
    return [event for event in json.loads(outcome.out)["events"] if event["stage"] == "fetch"]


def counts(run) -> dict[str, int]:
    return json.loads((run / "manifest/fetch.json").read_text())["counts"]


def test_retry_asks_for_what_may_pass_and_packs_both(run, web):
    before = {path.name: path.read_bytes() for path in (run / "images").glob("0000-*")}
    assert packed(run) == {*ETAGGED, *DATED, *PLAIN}
    web.down.clear()
    outcome = pairmill("retry", run)
    assert outcome.code == 0, outcome.err
    assert web.asked() == Counter(dict.fromkeys([*DOWN, *GONE], 1))
    assert packed(run) == {*ETAGGED, *DATED, *PLAIN, *DOWN}
    assert counts(run) == {"rows": COUNT, "images": 32}
    assert {path.name: path.read_bytes() for path in (run / "images").glob("0000-*")} == before
    first, second = life(run, DOWN[0])
    assert (first["round"], first["reason"], second["round"], second["what"]) == (0, "http_status", 1, "fetched")
    assert pairmill("validate", run / "shards/main").code == 0
    stats = json.loads((run / "stats.json").read_text())
    fetch = next(step for step in stats["funnel"] if step["stage"] == "fetch")
    assert (fetch["rows_in"], fetch["rows_out"]) == (COUNT, 32)
    assert fetch["rejects"] == {"http_status": len(GONE), "robots": len(REFUSED)}


def test_retry_of_named_reasons_alone(run, web):
    web.gone.clear()
    outcome = pairmill("retry", run, "--reason", "robots,http_status")
    assert outcome.code == 0, outcome.err
    assert set(web.asked()) == {*DOWN, *GONE}
    assert packed(run) == {*ETAGGED, *DATED, *PLAIN, *GONE}
    assert life(run, REFUSED[0])[-1]["reason"] == "robots"
    assert pairmill("retry", run, "--reason", "robots").code == 0
    assert web.asked() == Counter()
    assert [event["round"] for event in life(run, REFUSED[0])] == [0, 1, 2]


def test_an_interrupted_round_is_finished_by_run(run, web, tmp_path):
    """A disk that does not let the second round's rows be written, and a later `run` where it does."""
    web.down.clear()
    shutil.copytree(run, tmp_path / "whole")
    assert pairmill("retry", tmp_path / "whole").code == 0
    blocked = run / "images/rounds/0001"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where a folder should be")
    outcome = pairmill("retry", run)
    assert outcome.code == 3
    assert "Traceback" not in outcome.err
    blocked.unlink()
    other = pairmill("retry", run, "--reason", "timeout")
    assert other.code == 2
    assert "round 1 is not finished" in other.err
    assert pairmill("run", tmp_path / "c.yaml", "--run-dir", run).code == 0
    for label in ("fetch", "pack.main"):
        name = f"manifest/{label}.json"
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_refresh_drops_what_changed_or_is_gone(run, web):
    web.asked()
    swapped, gone, down = (ETAGGED[0], DATED[0], PLAIN[0]), PLAIN[1], PLAIN[2]
    for number in swapped:
        web.bodies[number] = noise(number, shade=60)
    web.gone.add(gone)
    web.down.add(down)
    outcome = pairmill("refresh", run)
    assert outcome.code == 0, outcome.err
    assert web.asked() == Counter(dict.fromkeys([*ETAGGED, *DATED, *PLAIN], 1))
    assert packed(run) == {*ETAGGED, *DATED, *PLAIN} - {*swapped, gone}
    assert {life(run, number)[-1]["reason"] for number in swapped} == {"hash_mismatch"}
    assert life(run, gone)[-1]["reason"] == "http_status"
    assert life(run, down)[-1]["what"] == "fetched"
    assert pairmill("validate", run / "shards/main").code == 0
    # What stood is where it was: a round that stores nothing has an empty tar, and the others are named still.
    assert pairmill("run", run / "run.yaml", "--run-dir", run).code == 0
    assert web.asked() == Counter()


def test_before_fetch_is_finished_nothing_is_asked_again(run, web):
    (run / "manifest/fetch.json").unlink()
    outcome = pairmill("retry", run)
    assert outcome.code == 2
    assert "fetch is not finished" in outcome.err
    assert pairmill("retry", run, "--reason", "bad_luck").code == 2
    assert pairmill("retry", run.parent).code == 2
    assert web.asked() == Counter()
