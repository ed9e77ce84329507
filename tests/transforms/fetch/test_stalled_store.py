"""A store that stalls for three seconds at every turn: no request ends for it, and the loop never waits for it."""

import asyncio
import threading
import time

import pytest
from helpers.raw_server import RawServer, http
from helpers.samples import candidate
from PIL import Image as Picture

from transforms import storage
from transforms.fetch.plan import plan_rows, unplanned
from transforms.fetch.settings import FetchSettings
from transforms.fetch.task import fetch_task
from transforms.formats import parquet
from transforms.records import FetchLog, Image, PlanRow
from transforms.run_dir import fetch_plan
from transforms.web.loop import run_async
from transforms.web.settings import WebSettings

STALL_S = 3.0
ROWS, ROWS_PER_PART = 9, 3


@pytest.fixture
def server(tmp_path):
    """Pictures that take 0.3 s each, served by a thread of its own."""
    Picture.linear_gradient("L").save(tmp_path / "a.jpg")
    picture = http(200, (tmp_path / "a.jpg").read_bytes(), "Content-Type: image/jpeg")

    async def answer(request, writer):
        await asyncio.sleep(0.3)
        writer.write(picture)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = RawServer({f"h{n}.test/{n}.jpg": answer for n in range(ROWS)})
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def stalling(monkeypatch, name: str) -> list[str]:
    """Every call of a function of the store takes STALL_S; the names of the threads that called it."""
    callers: list[str] = []
    real = getattr(storage, name)

    def slow(*args, **kwargs):
        callers.append(threading.current_thread().name)
        time.sleep(STALL_S)
        return real(*args, **kwargs)

    monkeypatch.setattr(storage, name, slow)
    return callers


@pytest.mark.parametrize("name", ["exists", "open_for_reading", "publishing"])
def test_no_row_ends_as_a_timeout(tmp_path, server, monkeypatch, name):
    rows = plan_rows([unplanned(candidate(f"http://h{n}.test/{n}.jpg")) for n in range(ROWS)], ROWS_PER_PART)
    parquet.write_rows(fetch_plan(str(tmp_path), 0, 0), PlanRow, rows)
    callers = stalling(monkeypatch, name)
    web = WebSettings(
        connect_to={"*:80": f"127.0.0.1:{server.port}"},
        hosts=[{"pattern": "*", "gap_s": 0.0}],
        timeouts={"connect_s": 1.0, "read_s": 1.0, "total_s": 1.0},
    )
    main_thread = threading.current_thread().name
    run_async(fetch_task(str(tmp_path), 0, 0, FetchSettings(rows_per_part=ROWS_PER_PART), web))
    assert callers
    assert main_thread not in callers
    parts = [p for p in (tmp_path / "images").glob("0000-*.parquet") if ".log." not in p.name]
    outcomes = [(row.status, row.reason) for part in parts for row in parquet.read_rows(str(part), Image)]
    assert outcomes == [("success", "")] * ROWS
    logs = list(parquet.read_all(str(tmp_path / "images"), "*.log.parquet", FetchLog))
    assert all(log.loop_late_s < STALL_S for log in logs)
