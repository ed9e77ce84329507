"""A resolver that fails for a while costs time, and no image: the manifest is that of an undisturbed run."""

import io
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command import pairmill
from helpers.in_thread import in_thread
from helpers.name_server import NXDOMAIN, SERVFAIL, NameServer, Said
from helpers.raw_server import RawServer, http
from PIL import Image as Picture

COUNT = 300
NOT_THERE = range(0, COUNT, 10)  # names that do not exist: the web's fault, not ours


def picture() -> bytes:
    out = io.BytesIO()
    Picture.linear_gradient("L").convert("RGB").save(out, "JPEG")
    return out.getvalue()


def zone(name: str) -> Said:
    number = int(name.partition(".")[0][1:])
    return Said(code=NXDOMAIN) if number in NOT_THERE else Said(("127.0.0.1",), ttl_s=5)


class Moody(NameServer):
    """Of seven in ten questions it says SERVFAIL, for so long after the first."""

    def __init__(self, seconds: float) -> None:
        super().__init__(self._say)
        self.failed = 0
        self._seconds, self._until_s = seconds, 0.0
        self._rng = random.Random(5)

    def _say(self, name: str) -> Said:
        self._until_s = self._until_s or time.monotonic() + self._seconds
        if time.monotonic() < self._until_s and self._rng.random() < 0.7:
            self.failed += 1
            return Said(code=SERVFAIL)
        return zone(name)


def fetched(folder: Path, web: RawServer, names: NameServer) -> bytes:
    """The manifest of a run."""
    folder.mkdir()
    urls = [f"http://h{n}.example:{web.port}/{n}.jpg" for n in range(COUNT)]
    captions = [f"a gradient with the number {n}" for n in range(COUNT)]
    pq.write_table(pa.table({"url": urls, "caption": captions}), folder.parent / "t.parquet")
    config = {
        "collect": {"tables": {"paths": [str(folder.parent / "t.parquet")]}},
        "fetch": {"rows_per_part": 100},
        "web": {
            "contact": "me@example.org",
            "allow_private": ["127.0.0.0/8"],
            "ports": [web.port],
            "resolvers": [names.address],
        },
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    outcome = pairmill("run", folder / "c.yaml", "--run-dir", folder / "run", "--to", "fetch", timeout_s=900)
    assert outcome.code == 0, outcome.err
    return (folder / "run/manifest/fetch.json").read_bytes()


@pytest.fixture
def web():
    with in_thread(RawServer({f"/{n}.jpg": http(200, picture()) for n in range(COUNT)})) as server:
        yield server


def compare(tmp_path, web, seconds: float) -> None:
    with in_thread(NameServer(zone)) as names:
        quiet = fetched(tmp_path / "quiet", web, names)
    with in_thread(Moody(seconds)) as names:
        disturbed = fetched(tmp_path / "disturbed", web, names)
        assert names.failed > COUNT / 2
    assert disturbed == quiet


@pytest.mark.timeout(240)
def test_seven_of_ten_look_ups_fail_for_a_quarter_of_a_minute(tmp_path, web):
    compare(tmp_path, web, 15)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_seven_of_ten_look_ups_fail_for_a_minute(tmp_path, web):
    compare(tmp_path, web, 60)
