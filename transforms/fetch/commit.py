"""One part of `images/`: a tar and its Parquet, committed together.

The tar's name carries its digest, the Parquet names its tar and is published last: it *is* the commit. Two attempts
at one part cannot mix, because the first Parquet that appears stays, and it names its own tar.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from transforms import storage
from transforms.formats import parquet
from transforms.formats.tar import TarWriter
from transforms.records import FetchLog, Image
from transforms.spool import Spool


def is_committed(folder: str, stem: str) -> bool:
    return storage.exists(storage.join(folder, f"{stem}.parquet"))


def commit_part(
    folder: str, stem: str, rows: Sequence[tuple[Image, str]], spool: Spool, log: Sequence[FetchLog]
) -> None:
    """Publish a part: (row, file extension of its image) in plan order. Raises StorageError."""
    with storage.publishing_by_digest(folder, partial(_tar_name, stem)) as file:
        images = _write_tar(file, rows, spool)
    name = _tar_name(stem, file.hexdigest())
    parquet.write_rows(storage.join(folder, f"{stem}.log.parquet"), FetchLog, log)
    named = [i._replace(tar=name) if i.status == "success" and i.tar is None else i for i in images]
    parquet.write_rows(storage.join(folder, f"{stem}.parquet"), Image, named, keep_first=True)


def _tar_name(stem: str, digest: str) -> str:
    return f"{stem}-{digest[:16]}.tar"


def _write_tar(file: storage.Sink, rows: Sequence[tuple[Image, str]], spool: Spool) -> list[Image]:
    tar = TarWriter(file)
    done = [_add_sample(tar, image, extension, spool) for image, extension in rows]
    tar.close()
    return done


def _add_sample(tar: TarWriter, image: Image, extension: str, spool: Spool) -> Image:
    """Three members with img2dataset's names: the image, its text, its row."""
    if image.status != "success" or image.tar is not None:  # nothing new to store
        return image
    data = spool.get(image.uid)
    offset = tar.add(f"{image.key}.{extension}", data)
    tar.add(f"{image.key}.txt", image.caption.encode())
    tar.add(f"{image.key}.json", msgspec.json.encode(sidecar(image)))
    return image._replace(offset=offset, length=len(data))


def sidecar(image: Image) -> dict[str, object]:
    """img2dataset's columns of a row: the `.json` member."""
    return {name: getattr(image, name) for name in Image._fields[:11]}


def committed_names(folder: str, pattern: str = "*") -> set[str]:
    """Every file of `images/` that a commit names: Parquets, their tars, their logs."""
    names: set[str] = set()
    for name in storage.list_names(folder, f"{pattern}.parquet"):
        names.add(name)
        if not name.endswith(".log.parquet"):
            names.update(tars_of(storage.join(folder, name)))
    return names


def tars_of(path: str) -> set[str]:
    """The tars that a part's Parquet names: one, or none where every row failed."""
    import pyarrow.parquet as pq

    with storage.open_for_reading(path) as file:
        column = pq.ParquetFile(file).read(["tar"])["tar"]
    return {t for t in column.unique().to_pylist() if t is not None}
