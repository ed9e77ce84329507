"""Parts of a task overlap: a slow host holds nobody up, within bounds; failures end all of them alike."""

import asyncio
import io
from types import SimpleNamespace

import pytest
from helpers.samples import candidate
from PIL import Image as Picture

from filters.reasons import Drop, Reason
from transforms import storage
from transforms.fetch import task
from transforms.fetch.commit import committed_names
from transforms.fetch.plan import unplanned
from transforms.fetch.rows import fetched_row
from transforms.fetch.settings import FetchSettings
from transforms.fetch.task import TaskRun
from transforms.image.process import ImageSettings, process_image
from transforms.web import parts as parts_module
from transforms.web.client import no_answer
from transforms.web.parts import NetworkTrouble, Part

ROWS = 3


def picture() -> bytes:
    out = io.BytesIO()
    Picture.linear_gradient("L").resize((40, 40)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


BODY = picture()
DONE = process_image(BODY, ImageSettings())


class Fetcher:
    """Rows that are told when to end. `slow`: numbers of rows that wait for `release`; `broken`: local failures."""

    def __init__(self, slow=(), broken=()):
        self.asked: list[int] = []
        self.release = asyncio.Event()
        self.slow, self.broken = set(slow), set(broken)

    async def fetch(self, row, spool):
        number = int(row.candidate.url.rpartition("/")[2])
        self.asked.append(number)
        await asyncio.sleep(0)
        if number in self.slow:
            await self.release.wait()
        answer = no_answer(row.candidate.url)
        if number in self.broken:
            drop = Drop(Reason.LOCAL_RESOLVER)
            return fetched_row(row.candidate, answer._replace(drop=drop), drop)
        spool.put(row.candidate.uid, DONE.data)
        return fetched_row(row.candidate, answer._replace(status=200, body=BODY), DONE)


def parts(count):
    rows = [unplanned(candidate(f"http://h.example/{n}")) for n in range(count * ROWS)]
    return [Part(f"0000-00000-{n:05d}", rows[n * ROWS : (n + 1) * ROWS]) for n in range(count)]


def committed(folder) -> list[int]:
    names = [n for n in committed_names(str(folder)) if n.endswith(".parquet") and ".log." not in n]
    return sorted(int(name[11:16]) for name in names)


def run(folder, count, watch, pauses=(0.05,), parts_at_once=8, **fetcher):
    """Fetch `count` parts while `watch(fetcher)` looks on; the fetcher."""

    async def go():
        made = Fetcher(**fetcher)
        polite = SimpleNamespace(may_ask=lambda: None)
        with task.ThreadPoolExecutor(2) as threads:
            settings = FetchSettings(local_pauses_s=pauses, parts_at_once=parts_at_once)
            attempt = TaskRun(str(folder), settings, made, polite, threads)
            watching = asyncio.create_task(watch(made))
            try:
                await attempt.run(iter(parts(count)))
            finally:
                await watching
        return made

    return asyncio.run(asyncio.wait_for(go(), 20))


async def until(condition, limit_s=5.0):
    for _ in range(int(limit_s / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come to that")


def test_parts_behind_a_slow_one_are_committed_before_it(tmp_path):
    async def watch(fetcher):
        await until(lambda: committed(tmp_path) == [1, 2, 3])
        fetcher.release.set()

    run(tmp_path, 4, watch, slow={1})
    assert committed(tmp_path) == [0, 1, 2, 3]


def test_no_more_parts_are_open_than_allowed(tmp_path):
    async def watch(fetcher):
        await until(lambda: len(fetcher.asked) == 2 * ROWS)
        await asyncio.sleep(0.1)
        assert sorted(fetcher.asked) == list(range(2 * ROWS))
        fetcher.release.set()

    run(tmp_path, 4, watch, parts_at_once=2, slow={0, ROWS})
    assert committed(tmp_path) == [0, 1, 2, 3]


def test_rows_begin_in_the_order_of_the_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "ROWS_BEGUN", 2)

    async def watch(fetcher):
        await until(lambda: len(fetcher.asked) == 2)
        await asyncio.sleep(0.05)
        assert fetcher.asked == [0, 1]
        fetcher.release.set()

    assert run(tmp_path, 3, watch, slow={0, 1}).asked == list(range(3 * ROWS))


def test_nothing_new_begins_while_the_network_is_given_time(tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "ROWS_BEGUN", 3)

    async def watch(fetcher):
        await asyncio.sleep(0.2)
        begun = len(fetcher.asked)
        await asyncio.sleep(0.2)
        assert len(fetcher.asked) == begun < 5 * ROWS
        fetcher.broken.clear()

    made = run(tmp_path, 6, watch, pauses=(0.6, 0.6), broken={0, 1, 2})
    assert sorted(made.asked) == sorted([*range(6 * ROWS), 0, 1, 2])
    assert committed(tmp_path) == [0, 1, 2, 3, 4, 5]


def test_a_network_that_stays_broken_ends_the_task_and_keeps_what_is_whole(tmp_path):
    async def watch(fetcher):
        await asyncio.sleep(0)

    with pytest.raises(NetworkTrouble, match="3 of 3 requests failed on our side"):
        run(tmp_path, 3, watch, pauses=(0.05,), broken={3, 4, 5})
    assert 1 not in committed(tmp_path)


def test_what_a_part_raises_is_raised_as_itself(tmp_path, monkeypatch):
    def full(*arguments):
        raise storage.StorageError("no space left")

    async def watch(fetcher):
        await asyncio.sleep(0)

    monkeypatch.setattr(task, "commit_part", full)
    with pytest.raises(storage.StorageError, match="no space left"):
        run(tmp_path, 2, watch)
