"""One task against a real server: rows in plan order, one commit a part, finished parts never asked again."""

import asyncio
import io
from datetime import UTC, datetime

import pytest
from aiohttp import web
from helpers.samples import candidate
from PIL import Image as Picture

from filters.reasons import Drop, Reason
from transforms import storage
from transforms.fetch import download
from transforms.fetch.plan import plan_rows, unplanned
from transforms.fetch.settings import FetchSettings
from transforms.fetch.task import fetch_task
from transforms.formats import parquet
from transforms.formats.warc import WarcWriter, read_warc
from transforms.records import FetchLog, Image, PlanRow, Source
from transforms.run_dir import stem_of
from transforms.web.parts import NetworkTrouble
from transforms.web.settings import WebSettings


def jpeg(side: int) -> bytes:
    out = io.BytesIO()
    Picture.linear_gradient("L").resize((side, side)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


class Site:
    """A site of pictures `/<side>.jpg` that remembers what it was asked."""

    def __init__(self):
        self.asked = []

    async def answer(self, request):
        self.asked.append(request.path)
        if not request.path.endswith(".jpg"):
            return web.Response(status=404)
        return web.Response(body=jpeg(int(request.path[1:-4])), headers={"ETag": '"x"', "X-Robots-Tag": "nofollow"})


def run_task(run, candidates, site, **fetch):
    """Plan `candidates` as task 0 and fetch it, with `site` behind every host."""
    settings = FetchSettings(**({"rows_per_part": 4, "local_pauses_s": (0.01,)} | fetch))
    rows = plan_rows([unplanned(c) for c in candidates], settings.rows_per_part)
    parquet.write_rows(str(run / "images/plan" / f"{stem_of(0, 0)}.parquet"), PlanRow, rows)

    async def go():
        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", site.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        place = web.TCPSite(runner, "127.0.0.1", 0)
        await place.start()
        port = runner.addresses[0][1]
        settings_web = WebSettings(connect_to={"*:80": f"127.0.0.1:{port}"}, hosts=[{"pattern": "*", "gap_s": 0.0}])
        try:
            return await fetch_task(str(run), 0, 0, settings, settings_web)
        finally:
            await runner.cleanup()

    return asyncio.run(go())


def rows_of(run) -> list[Image]:
    names = [n for n in storage.list_names(str(run / "images"), "*.parquet") if not n.endswith(".log.parquet")]
    return [row for n in names for row in parquet.read_rows(str(run / "images" / n), Image)]


def test_a_row_for_every_attempt_in_plan_order(tmp_path):
    urls = [f"http://h.example/{n}.jpg" for n in (40, 50, 60, 70, 80)] + ["http://h.example/missing"]
    result = run_task(tmp_path, [candidate(u) for u in urls], Site())
    rows = rows_of(tmp_path)
    assert (result.parts, result.parts_done_before) == (2, 0)
    assert [r.uid for r in rows] == sorted(r.uid for r in rows)
    assert {r.url: (r.status, r.reason, r.value) for r in rows} == {
        u: ("failed_to_download", "http_status", 404.0) if u.endswith("missing") else ("success", "", None)
        for u in urls
    }
    good = next(r for r in rows if r.url.endswith("60.jpg"))
    assert (good.width, good.original_width, good.format, good.http_status) == (60, 60, "JPEG", 200)
    assert (good.etag, good.x_robots_tag, good.original_bytes) == ('"x"', "nofollow", len(jpeg(60)))
    stored = storage.read_range(str(tmp_path / "images" / good.tar), good.offset, good.length)
    assert Picture.open(io.BytesIO(stored)).size == (60, 60)
    log = list(parquet.read_all(str(tmp_path / "images"), "*.log.parquet", FetchLog))
    assert len(log) == 6
    assert all(entry.duration_s > 0 for entry in log)


def test_finished_parts_are_not_asked_again(tmp_path):
    candidates = [candidate(f"http://h.example/{n}.jpg") for n in range(40, 50)]
    run_task(tmp_path, candidates, Site())
    lost = sorted((tmp_path / "images").glob("0000-00000-00001*"))
    expected = [r.url for r in parquet.read_rows(str(tmp_path / "images/0000-00000-00001.parquet"), Image)]
    for path in lost:
        path.unlink()
    site = Site()
    result = run_task(tmp_path, candidates, site)
    assert (result.parts, result.parts_done_before) == (3, 2)
    pictures = [p for p in site.asked if p.endswith(".jpg")]
    assert sorted(pictures) == sorted(u.removeprefix("http://h.example") for u in expected)


def test_a_stored_range_takes_the_same_path_without_a_request(tmp_path):
    with open(tmp_path / "a.warc.gz", "wb") as file:
        writer = WarcWriter(file)
        for url, tag in (("http://h.example/yes.jpg", "all"), ("http://h.example/no.jpg", "noai")):
            headers = (("Content-Type", "image/jpeg"), ("X-Robots-Tag", tag))
            writer.write_response(url, 200, headers, jpeg(64), datetime(2026, 1, 1, tzinfo=UTC))
    entries = [e for e in read_warc(str(tmp_path / "a.warc.gz")) if e.kind == "image"]
    stored = [candidate(e.url, source=Source("a.warc.gz", e.offset, e.length, "warc")) for e in entries]
    stored.append(candidate("http://h.example/gone.jpg", source=Source("a.warc.gz", 10**9, 10, "warc")))
    site = Site()
    run_task(tmp_path, stored, site)
    assert site.asked == []
    reasons = {r.url.rpartition("/")[2]: r.reason for r in rows_of(tmp_path)}
    assert reasons == {"yes.jpg": "", "no.jpg": "opt_out", "gone.jpg": "stored_range_unreadable"}


def test_the_unexpected_costs_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(download.DecodeQueue, "process", lambda self, body: 1 / 0)
    run_task(tmp_path, [candidate("http://h.example/40.jpg"), candidate("http://h.example/missing")], Site())
    assert {r.reason for r in rows_of(tmp_path)} == {"internal_error", "http_status"}


def test_a_broken_network_of_ours_is_never_final(tmp_path, monkeypatch):
    async def no_network(self, row):
        return download.no_answer(row.candidate.url)._replace(drop=Drop(Reason.LOCAL_RESOLVER))

    monkeypatch.setattr(download.Fetcher, "_answer", no_network)
    with pytest.raises(NetworkTrouble, match="run the same command again"):
        run_task(tmp_path, [candidate(f"http://h.example/{n}.jpg") for n in range(5)], Site())
    assert rows_of(tmp_path) == []


def test_a_hiccup_of_ours_is_asked_again(tmp_path, monkeypatch):
    real, seen = download.Fetcher._answer, set()

    async def first_time_fails(self, row):
        if row.candidate.uid in seen:
            return await real(self, row)
        seen.add(row.candidate.uid)
        return download.no_answer(row.candidate.url)._replace(drop=Drop(Reason.LOCAL_NETWORK))

    monkeypatch.setattr(download.Fetcher, "_answer", first_time_fails)
    run_task(tmp_path, [candidate(f"http://h.example/{n}.jpg") for n in range(40, 44)], Site())
    assert {r.status for r in rows_of(tmp_path)} == {"success"}
