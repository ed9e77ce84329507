"""A table of urls becomes shards; img2dataset is given the same table, and both outputs are compared."""

import io
import json
import os
import shlex
import subprocess
import tarfile
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command import pairmill
from helpers.in_thread import in_thread
from helpers.raw_server import RawServer, http
from PIL import Image as Picture

GROUPS, HOSTS = 20, 100
COUNTS = [4_000, pytest.param(20_000, marks=pytest.mark.soak)]
ADDRESSES = [f"127.8.0.{n + 1}" for n in range(HOSTS)]
# What becomes of an url, by its group: our reason, and img2dataset's status.
GOOD, NOT_GOT, NOT_READ = "success", "failed_to_download", "failed_to_resize"
FATES = {
    "missing": ("http_status", NOT_GOT),
    "error": ("http_status", NOT_GOT),
    "page": ("not_an_image", NOT_READ),
    "reset": ("connection_lost", NOT_GOT),
    "empty": ("empty_body", NOT_READ),
    "noai": ("opt_out", NOT_GOT),  # both obey the header
    "robots": ("robots", GOOD),  # it never asks for robots.txt
    "half": ("truncated", NOT_READ),
    "small": ("", GOOD),
    "png": ("", GOOD),
    "webp": ("", GOOD),
    **{f"jpeg{n}": ("", GOOD) for n in range(9)},
}
NAMES = list(FATES)
ALL_KEPT = [name for name, (reason, _) in FATES.items() if not reason]
TABLES = "*[0-9].parquet"  # of rows; the log tables stand beside them
PEER_COLUMNS = ["caption", "url", "key", "status", "error_message", "width", "height", "original_width",
                "original_height", "exif", "sha256", "mine"]  # fmt: skip


@cache
def scene() -> Picture.Image:
    """Soft noise, from which every picture is another part."""
    return Picture.effect_noise((200, 160), 90).resize((1600, 1280), Picture.Resampling.BICUBIC).convert("RGB")


@cache  # both ask for it
def picture(number: int, group: str) -> bytes:
    width, height = (120, 90) if group == "small" else (300 + number % 41, 280 + number % 29)
    left, top = number * 7 % (1600 - width), number * 3 % (1280 - height)
    out = io.BytesIO()
    kind = {"png": "PNG", "webp": "WEBP"}.get(group, "JPEG")
    part = scene().crop((left, top, left + width, top + height))
    part.save(out, kind, quality=80, compress_level=1, method=0)
    return out.getvalue()


class Web(RawServer):
    """Every path is /GROUP/NUMBER.jpg, at every address."""

    def __init__(self) -> None:
        super().__init__({}, addresses=ADDRESSES)

    async def _answer(self, request, writer) -> None:
        if request.path == "/robots.txt":
            writer.write(http(200, b"User-agent: *\nDisallow: /robots/\n"))
        elif request.path.endswith(".jpg"):
            _, group, name = request.path.split("/")
            writer.write(self._said(group, int(name.partition(".")[0])))
        else:
            writer.write(http(404))
        await writer.drain()
        if request.path.startswith("/reset/"):
            writer.transport.abort()

    def _said(self, group: str, number: int) -> bytes:
        answers = {"missing": http(404), "error": http(500), "page": http(200, b"<html>no</html>"), "reset": b"",
                   "empty": http(200)}  # fmt: skip
        if group in answers:
            return answers[group]
        body = picture(number, group)
        if group == "half":
            return http(200, body[: len(body) // 2])
        return http(200, body, *(["X-Robots-Tag: noai"] if group == "noai" else []))


def group_of(url: str) -> str:
    return url.split("/")[3]


@pytest.fixture(scope="module")
def web():
    with in_thread(Web()) as server:
        yield server


@pytest.fixture(scope="module", params=COUNTS)
def count(request) -> int:
    """How many urls: a multiple of the groups times the hosts."""
    return request.param


@pytest.fixture(scope="module")
def folder(count, tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("beside")


@pytest.fixture(scope="module")
def table(web, folder, count) -> Path:
    urls = [f"http://{ADDRESSES[n * 7 % HOSTS]}:{web.port}/{NAMES[n // HOSTS % GROUPS]}/{n}.jpg" for n in range(count)]
    assert len(set(urls)) == count
    captions = [f"a part of the noise with the number {n}" for n in range(count)]
    path = folder / "table.parquet"
    pq.write_table(pa.table({"url": urls, "caption": captions, "mine": [f"x{n}" for n in range(count)]}), path)
    return path


@pytest.fixture(scope="module")
def ours(web, table, folder) -> Path:
    """The run directory of `pairmill run urls`, all the way."""
    web_settings = {"allow_private": ["127.0.0.0/8"], "ports": [web.port], "contact": "me@example.org"}
    settings = {"collect.tables.paths": [str(table)], "score.model": "none", "engine.workers": 2} | {
        f"web.{name}": value for name, value in web_settings.items()
    }
    words = [w for k, v in settings.items() for w in ("--set", f"{k}={yaml.safe_dump(v, default_flow_style=True)}")]
    outcome = pairmill("run", "urls", "--run-dir", folder / "run", *words, timeout_s=400)
    assert outcome.code == 0, outcome.err
    return folder / "run"


@pytest.fixture(scope="module")
def theirs(ours, table, folder, root) -> Path:
    """img2dataset's output folder, with the same image settings; after ours, so that the cores are free."""
    program = root / ".venv-img2dataset/bin/img2dataset"
    assert program.exists(), f"{program} is missing: `make test` installs it"
    words = f"""{program} --url_list {table} --input_format parquet --url_col url --caption_col caption
        --save_additional_columns ["mine"] --output_folder {folder / "out"} --output_format webdataset
        --processes_count 2 --thread_count 64 --image_size 256 --resize_mode keep_ratio --resize_only_if_bigger True
        --encode_quality 95 --number_sample_per_shard 1000 --enable_wandb False --timeout 10"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run(shlex.split(words), env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "out"


def rows(folder: Path, columns: list[str]) -> dict[str, dict]:
    """url → its row, from all tables of a folder."""
    found = {}
    for path in sorted(folder.glob(TABLES)):
        found |= {row["url"]: row for row in pq.read_table(path, columns=columns).to_pylist()}
    return found


@pytest.mark.timeout(900)
def test_every_url_has_the_fate_of_its_group(ours, count):
    found = defaultdict(Counter)
    for url, row in rows(ours / "images", ["url", "reason"]).items():
        found[group_of(url)][row["reason"]] += 1
    assert found == {name: Counter({reason: count // GROUPS}) for name, (reason, _) in FATES.items()}


@pytest.mark.timeout(900)
def test_the_shards_hold_every_good_image(ours, count):
    kept = rows(ours / "shards/main", ["url"])
    assert Counter(map(group_of, kept)) == dict.fromkeys(ALL_KEPT, count // GROUPS)
    assert pairmill("validate", ours / "shards/main").code == 0


@pytest.mark.timeout(900)
def test_the_same_urls_succeed_but_for_what_the_documentation_names(ours, theirs):
    mine, other = (rows(place, ["url", "status"]) for place in (ours / "images", theirs))
    assert mine.keys() == other.keys()
    assert {(group_of(url), row["status"]) for url, row in other.items()} == {(n, s) for n, (_, s) in FATES.items()}
    differ = {group_of(url): row["status"] for url, row in mine.items() if row["status"] != other[url]["status"]}
    assert differ == {"robots": NOT_GOT, "empty": NOT_GOT}


@pytest.mark.timeout(900)
def test_columns_and_their_types_are_the_same(ours, theirs):
    mine, other = (pq.read_schema(next(place.glob(TABLES))) for place in (ours / "images", theirs))
    assert set(other.names) == set(PEER_COLUMNS)
    carried = "mine"  # ours are in `extra`
    shared = [name for name in other.names if name != carried]
    assert {name: mine.field(name).type for name in shared} == {name: other.field(name).type for name in shared}


@pytest.mark.timeout(900)
def test_sizes_and_digests_are_the_same(ours, theirs, count):
    columns = ["url", "width", "height", "original_width", "original_height", "sha256"]
    mine, other = (rows(place, columns) for place in (ours / "images", theirs))
    kept = [url for url in mine if group_of(url) in ALL_KEPT]
    assert len(kept) == len(ALL_KEPT) * count // GROUPS
    assert [mine[url] for url in kept] == [other[url] for url in kept]


def first_sample(folder: Path) -> tuple[set[str], dict]:
    """The endings of its members, and what its JSON says."""
    with tarfile.open(min(folder.glob("*.tar"))) as tar:
        names = tar.getnames()
        key = names[0].partition(".")[0]
        file = tar.extractfile(f"{key}.json")
        assert file is not None
        return {n.partition(".")[2] for n in names if n.startswith(key + ".")}, json.loads(file.read())


@pytest.mark.timeout(900)
def test_samples_have_the_same_members(ours, theirs):
    (mine, row), (other, peer_row) = first_sample(ours / "images"), first_sample(theirs)
    assert mine == other == {"jpg", "txt", "json"}
    assert peer_row.keys() - {"mine"} <= row.keys()
