"""Inputs that look like the web's: pages in WARC files, images in archives, finished fetches. All from a seed."""

import io
import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from filters.caption import caption_id
from filters.url import uid_of
from pipeline.manifest import Manifests, Stamp
from transforms.collect.settings import CollectSettings
from transforms.collect.transform import collect_steps
from transforms.fetch.commit import commit_part
from transforms.fetch.plan import plan_rows, unplanned
from transforms.formats import parquet
from transforms.formats.warc import WarcWriter, read_warc
from transforms.records import Candidate, Caption, Image, PlanRow, Score, Source
from transforms.run_dir import stem_of
from transforms.spool import Memory, Spool

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = (
    "harbour morning light over old wooden boats red kite market street rain window garden stone bridge river "
    "mountain path winter field horse bicycle lamp station tower glass roof evening crowd festival bread table "
    "kitchen clay bowl blue door narrow alley cat sleeping wall ivy castle ruin forest moss waterfall cliff"
)
WORDS = tuple(TEXT.split())
PER_PAGE = 10  # captioned images
SHARED_IMAGES = 0.2  # of a page's images stand on other pages too
HOT_SHARE = 0.01  # of all images have the same bytes; as many have the same caption
ROWS_PER_PART = 1_000
TASK_PARTS = 10
NOWHERE = Source()


def words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count))


# pages


def write_pages(folder: Path, occurrences: int, files: int) -> list[str]:
    """WARC files with pages of `PER_PAGE` images; their paths."""
    pages = -(-occurrences // PER_PAGE)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(_write_pages, folder, pages, files), range(files)))


def _write_pages(folder: Path, pages: int, files: int, number: int) -> str:
    path = folder / f"pages-{number:03d}.warc.gz"
    with path.open("wb") as file:
        writer = WarcWriter(file)
        for page in range(number, pages, files):
            url = f"http://site{page % 97}.test/{page}.html"
            writer.write_response(url, 200, [("Content-Type", "text/html; charset=utf-8")], html(page), WHEN)
    return str(path)


def html(page: int) -> bytes:
    """About 40 kB of text, links and markup around its images, as the pages of the web have it."""
    rng = random.Random(f"page {page}")
    body = [f"<html lang=en><head><title>{words(rng, 6)}</title></head><body>"]
    for number in range(PER_PAGE):
        links = (f"<li class='item {n}'><a href='/{n}.html'>{words(rng, 3)}</a></li>" for n in range(25))
        body.append(f"<nav class=menu><ul>{''.join(links)}</ul></nav>")
        name = f"shared/{rng.randrange(500)}" if rng.random() < SHARED_IMAGES else f"{page}/{number}"
        body.append(f"<div class=entry><img src='http://images{page % 31}.test/{name}.jpg' alt='{words(rng, 8)}'>")
        body.append("".join(f"<p>{words(rng, 60)}</p>" for _ in range(6)) + "</div>")
    return "".join([*body, "</body></html>"]).encode()


# images


@lru_cache(maxsize=256)
def jpeg(number: int, side: int) -> bytes:
    """A picture with soft shapes and a little noise: as large as a photograph of that size."""
    rng = np.random.default_rng(number)
    soft = Picture.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((side, side), Picture.BICUBIC)
    noise = rng.integers(-6, 7, (side, side, 3))
    out = io.BytesIO()
    Picture.fromarray((np.asarray(soft) + noise).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
    return out.getvalue()


def candidate(url: str, *texts: str, source: Source = NOWHERE) -> Candidate:
    captions = tuple(Caption(caption_id(t), t, "alt", "http://site.test/", "en", 0.95, 1, "") for t in texts)
    return Candidate(uid_of(url), url, source, captions, len(captions), "", "")


def write_archive(path: Path, images: int, side: int, host: str) -> list[Candidate]:
    """A WARC of images, and candidates that name their ranges."""
    with path.open("wb") as file:
        writer = WarcWriter(file)
        for number in range(images):
            url = f"http://{host}/{number}.jpg"
            writer.write_response(url, 200, [("Content-Type", "image/jpeg")], jpeg(number % 200, side), WHEN)
    rng = random.Random(host)
    ranges = [(e.url, Source(str(path), e.offset, e.length, "warc")) for e in read_warc(str(path))]
    return [candidate(url, words(rng, 8), source=source) for url, source in ranges]


def write_plans(run: Path, tasks: dict[int, list[Candidate]], rows_per_part: int) -> list[int]:
    """`images/plan/` with a file a task; the tasks."""
    for task, candidates in tasks.items():
        rows = plan_rows([unplanned(c) for c in candidates], rows_per_part)
        parquet.write_rows(str(run / "images" / "plan" / f"{stem_of(0, task)}.parquet"), PlanRow, rows)
    return sorted(tasks)


# finished fetches


def image_rows(part: int, rows: int, seed: int = 0) -> Iterator[Image]:
    """Rows of one part: most are unlike all others, some are copies, some fail, one text and one image are hot."""
    rng = random.Random(f"{seed} {part}")
    for row in range(rows):
        url = f"http://images{rng.randrange(5000)}.test/{part}/{row}.jpg"
        text = "share this picture with your friends" if rng.random() < HOT_SHARE else words(rng, 9)
        found = candidate(url, *dict.fromkeys((text, words(rng, 7)) if rng.random() < 0.3 else (text,)))
        yield failed_row(found) if rng.random() < 0.05 else fetched_row(found, rng)


def fetched_row(found: Candidate, rng: random.Random) -> Image:
    sha256, phash = hashes(rng)
    side = rng.choice([320, 480, 640, 1024])
    return failed_row(found)._replace(
        status="success", reason="", error_message=None, width=256, height=192, original_width=side,
        original_height=side * 3 // 4, exif="{}", sha256=sha256, original_bytes=side * 90, final_url=found.url,
        redirects=0, http_status=200, etag='"abc"', format="JPEG", phash=phash, phash_quality=100,
        tar="none.tar", offset=0, length=1,
    )  # fmt: skip


def failed_row(found: Candidate) -> Image:
    return Image(
        url=found.url, caption=found.captions[0].text, key=found.uid.hex(), status="failed_to_download",
        error_message="timeout", width=None, height=None, original_width=None, original_height=None, exif=None,
        sha256=None, uid=found.uid, source_uid="", captions=found.captions, source=found.source, extra="",
        reason="timeout", value=None, detail="", http_status=None, original_bytes=None, final_url=None,
        redirects=None, x_robots_tag=None, etag=None, last_modified=None, format=None, phash=None,
        phash_quality=None, tar=None, offset=None, length=None,
    )  # fmt: skip


def hashes(rng: random.Random) -> tuple[str, bytes]:
    """(sha256 in hex, PDQ): one hot group, small groups of copies and near copies, the rest alone."""
    kind = rng.random()
    group = 0 if kind < HOT_SHARE else rng.randrange(1, 1_000_000)
    if kind > 0.1:
        return rng.randbytes(32).hex(), rng.randbytes(32)
    copies = random.Random(group)
    sha256, phash = copies.randbytes(32).hex(), copies.randbytes(32)
    if kind > 0.05:  # the same picture at another size
        flips = sum(1 << bit for bit in rng.sample(range(256), 6))
        return rng.randbytes(32).hex(), (int.from_bytes(phash, "big") ^ flips).to_bytes(32, "big")
    return sha256, phash


def write_fetch(run: Path, rows: int, tars: bool = False) -> list[str]:
    """A run directory that is finished up to `score`; its stems. `tars`: with images of 10 kB, for pack."""
    parts = -(-rows // ROWS_PER_PART)
    sizes = [min(ROWS_PER_PART, rows - part * ROWS_PER_PART) for part in range(parts)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        stems = list(pool.map(partial(_write_part, run, tars), range(parts), sizes, chunksize=8))
    for label in ("collect", "fetch", "score"):
        facts = {"outputs": {}, "outputs_digest": label, "counts": {}, "steps": collect_steps(CollectSettings())}
        Manifests(str(run)).finish(label, Stamp({}, {}), facts, {})
    return stems


def _write_part(run: Path, tars: bool, part: int, rows: int) -> str:
    stem = stem_of(0, part // TASK_PARTS, part % TASK_PARTS)
    images = list(image_rows(part, rows))
    rng = random.Random(part)
    if tars:
        _commit(run, stem, [image._replace(tar=None) for image in images])
    else:
        parquet.write_rows(str(run / "images" / f"{stem}.parquet"), Image, images)
    scores = [
        Score(i.uid, c.id, "synthetic", rng.gauss(0.26, 0.06)) for i in images if not i.reason for c in i.captions
    ]
    parquet.write_rows(str(run / "scores" / f"{stem}.parquet"), Score, scores)
    return stem


def _commit(run: Path, stem: str, images: list[Image]) -> None:
    with Spool(Memory(1 << 28)) as spool:
        for number, image in enumerate(images):
            spool.put(image.uid, jpeg(number % 100, 256))
        commit_part(str(run / "images"), stem, [(image, "jpg") for image in images], spool, [])
