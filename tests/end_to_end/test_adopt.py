"""A folder of img2dataset's, with failures in it, becomes a finished fetch; `retry` asks for the failures alone."""

import hashlib
import io
import json
import tarfile
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.command import pairmill
from helpers.in_thread import in_thread
from helpers.raw_server import RawServer, http
from PIL import Image as Picture

COUNT, EACH = 30, 15
FAILED = {n for n in range(COUNT) if n % 10 < 3}  # 30 %
MESSAGES = ("HTTP Error 404: Not Found", "<urlopen error timed out>", "<urlopen error [Errno 111] Connection refused>")
TEXT = pa.string()
# As img2dataset 1.47 writes it, with one column that its user carried along.
SCHEMA = pa.schema([("mine", TEXT), ("caption", TEXT), ("url", TEXT), ("key", TEXT), ("status", TEXT),
                    ("error_message", TEXT), ("width", pa.int32()), ("height", pa.int32()),
                    ("original_width", pa.int32()), ("original_height", pa.int32()), ("exif", TEXT),
                    ("sha256", TEXT)])  # fmt: skip


@cache  # the noise is another each time
def picture(number: int, size: tuple[int, int] = (900, 600)) -> bytes:
    out = io.BytesIO()
    Picture.effect_noise(size, 40 + number).convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def stored(number: int) -> bytes:
    """What img2dataset makes of it."""
    return picture(number, (384, 256))


def url(number: int) -> str:
    return f"http://h{number % 3}.test/{number}.jpg"


def row_of(number: int) -> dict:
    row = {"mine": f"x{number}", "caption": f"the noise with the number {number}", "url": url(number),
           "key": f"{number:09d}", "status": "success", "error_message": None, "width": 384, "height": 256,
           "original_width": 900, "original_height": 600, "exif": "{}",
           "sha256": hashlib.sha256(picture(number)).hexdigest()}  # fmt: skip
    if number in FAILED:
        nothing = dict.fromkeys(("width", "height", "original_width", "original_height", "exif", "sha256"))
        row |= nothing | {"status": "failed_to_download", "error_message": MESSAGES[number % 10]}
    return row


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.uname, info.mode = len(data), "bigdata", 0o444
    tar.addfile(info, io.BytesIO(data))


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    for shard in range(COUNT // EACH):
        rows = [row_of(number) for number in range(shard * EACH, (shard + 1) * EACH)]
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / f"{shard:05d}.parquet")
        (folder / f"{shard:05d}_stats.json").write_text("{}")
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for row in (r for r in rows if r["status"] == "success"):
                add(tar, f"{row['key']}.jpg", stored(int(row["key"])))
                add(tar, f"{row['key']}.json", json.dumps(row, indent=4).encode())
                add(tar, f"{row['key']}.txt", row["caption"].encode())
    return folder


@pytest.fixture
def web():
    with in_thread(RawServer({f"/{n}.jpg": http(200, picture(n)) for n in range(COUNT)})) as server:
        yield server


@pytest.fixture
def run(tmp_path, web):
    folder = write_folder(tmp_path / "theirs")
    outcome = pairmill("adopt", folder, "--run-dir", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert web.log == []
    return tmp_path / "run"


def words(web) -> list[str]:
    return ["--set", "web.contact=me@example.org", "--set", f"web.connect_to={{'*.test:80': '127.0.0.1:{web.port}'}}"]


def rows_of(run: Path) -> dict[str, dict]:
    """The rows of `images/` by url; of the last round."""
    tables = [pq.read_table(p) for p in sorted((run / "images").glob("*.parquet")) if ".log." not in p.name]
    return {row["url"]: row for table in tables for row in table.to_pylist()}


def shards(run: Path) -> dict[str, dict]:
    """Sidecars by url, with the image's bytes."""
    found = {}
    for path in sorted((run / "shards/main").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
        for name in (n for n in members if n.endswith(".json")):
            row = json.loads(members[name])
            found[row["url"]] = row | {"bytes": members[name.replace(".json", ".jpg")]}
    return found


def test_it_is_a_finished_fetch_with_their_words(run):
    rows = rows_of(run)
    assert set(rows) == {url(n) for n in range(COUNT)}
    for number in range(COUNT):
        row, theirs = rows[url(number)], row_of(number)
        for name in ("status", "error_message", "width", "height", "original_width", "original_height", "sha256"):
            assert row[name] == theirs[name], (number, name)
        assert row["source_uid"] == theirs["key"]
        assert json.loads(row["extra"]) == {"mine": theirs["mine"]}
    reasons = {rows[url(n)]["reason"] for n in range(COUNT)}
    assert reasons == {"", "http_status", "timeout", "connect_failed"}


def test_retry_asks_only_for_the_failures_and_both_are_packed(run, web):
    outcome = pairmill("retry", run, *words(web))
    assert outcome.code == 0, outcome.err
    asked = sorted(f"http://{r.host}{r.path}" for r in web.log if r.path.endswith(".jpg"))
    assert asked == sorted(url(n) for n in FAILED)
    assert pairmill("run", run / "run.yaml", "--run-dir", run).code == 0
    found = shards(run)
    assert set(found) == {url(n) for n in range(COUNT)}
    kept = set(range(COUNT)) - FAILED
    assert all(found[url(n)]["bytes"] == stored(n) for n in kept)  # not coded once more
    assert pairmill("validate", run / "shards/main").code == 0
    sent = len(web.log)
    assert pairmill("run", run / "run.yaml", "--run-dir", run).code == 0
    assert len(web.log) == sent


def test_refresh_holds_the_web_against_their_sums(run, web):
    swapped = sorted(set(range(COUNT)) - FAILED)[:4]
    for number in swapped:
        web.routes[f"/{number}.jpg"] = http(200, picture(number + 100))
    outcome = pairmill("refresh", run, *words(web))
    assert outcome.code == 0, outcome.err
    asked = {f"http://{r.host}{r.path}" for r in web.log if r.path.endswith(".jpg")}
    assert asked == {url(n) for n in range(COUNT) if n not in FAILED}
    reasons = {address: row["reason"] for address, row in rows_of(run).items()}
    assert {a for a, reason in reasons.items() if reason == "hash_mismatch"} == {url(n) for n in swapped}


def test_without_a_contact_nobody_is_asked(run, web):
    outcome = pairmill("retry", run, "--set", "web.contact=")
    assert outcome.code == 2
    assert "web.contact" in outcome.err
    assert web.log == []
    assert pairmill("retry", run, *words(web)).code == 0  # the same round, now with a contact


def test_a_webdataset_without_urls(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for shard in range(2):
        with tarfile.open(folder / f"shard-{shard}.tar", "w") as tar:
            for number in range(4):
                add(tar, f"dir/s{number}.jpg", stored(10 * shard + number))
                add(tar, f"dir/s{number}.txt", f"the noise of shard {shard} with the number {number}".encode())
                add(tar, f"dir/s{number}.cls", b"7")
    outcome = pairmill("adopt", folder, "--run-dir", tmp_path / "run", "--to", "pack", "--set", "collect.adopt.name=n")
    assert outcome.code == 0, outcome.err
    rows = [r for p in (tmp_path / "run/shards/main").glob("*.parquet") for r in pq.read_table(p).to_pylist()]
    assert len({row["uid"] for row in rows}) == len(rows) == 8
    retry = pairmill("retry", tmp_path / "run")
    assert retry.code == 0, retry.err


@pytest.mark.parametrize(("name", "content", "says"), [
    (None, b"", "matches no file"),
    ("a.tar", b"no tar at all" * 100, "broken or cut off"),
])  # fmt: skip
def test_a_folder_that_cannot_be_adopted(tmp_path, name, content, says):
    if name:
        (tmp_path / name).write_bytes(content)
    outcome = pairmill("adopt", tmp_path, "--run-dir", tmp_path / "run")
    assert outcome.code in (2, 3)
    assert says in outcome.err
    assert "Traceback" not in outcome.err
