"""A run over a damaged archive: what was lost is told everywhere, and too much of it ends the run."""

import gzip
import io
import json

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter


@pytest.fixture
def warc(tmp_path):
    """`warc(n)`: an archive of 300 pages, n of whose members are damaged."""

    def write(damaged: int) -> str:
        members = []
        for index in range(300):
            one = io.BytesIO()
            writer = WARCWriter(one, gzip=False)
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
            body = b"<html><img src=/%d.jpg alt='a cat that sleeps in house number %d'>" % (index, index)
            record = writer.create_warc_record(
                f"http://e.example/{index}", "response", payload=io.BytesIO(body), http_headers=headers
            )
            writer.write_record(record)
            member = bytearray(gzip.compress(one.getvalue(), mtime=0))
            if index % 90 == 7 and index // 90 < damaged:
                member[150:154] = bytes(4)
            members.append(bytes(member))
        path = tmp_path / "x.warc.gz"
        path.write_bytes(b"".join(members))
        return str(path)

    return write


def collect(call, run, path, *more):
    words = ["run", "warc", "--run-dir", run, "--to", "collect", "--set", f"collect.warc.paths=[{path}]", *more]
    return call(*words, "--set", "web.contact=a@b.example")


def test_what_was_lost_is_told(call, warc, tmp_path):
    run = tmp_path / "run"
    outcome = collect(call, run, warc(3), "--set", "collect.max_broken=0.02")
    assert outcome.code == 0, outcome.err
    assert "archives are damaged: about 3 records, " in outcome.err
    counts = json.loads((run / "manifest/collect.json").read_text())["counts"]
    assert counts["candidates"] == 297
    assert counts["lost_records"] == 3
    status = json.loads(call("status", run, "--json").out)
    assert status["stages"][0]["counts"]["lost_records"] == 3


def test_too_much_of_it_ends_the_run(call, warc, tmp_path):
    outcome = collect(call, tmp_path / "run", warc(3), "--set", "collect.max_broken=0.001")
    assert outcome.code == 1
    assert "more than collect.max_broken = 0.001; fetch these files again, or raise it" in outcome.err
    assert "x.warc.gz" in outcome.err


def test_a_whole_archive_says_nothing(call, warc, tmp_path):
    outcome = collect(call, tmp_path / "run", warc(0))
    assert outcome.code == 0, outcome.err
    assert "damaged" not in outcome.err + outcome.out
