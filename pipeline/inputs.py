"""What a configuration names as input: seeds, WARC files, tables."""

from collections.abc import Iterable

from pipeline.config import Settings
from pipeline.errors import UsageError
from transforms import storage
from transforms.collect.frontier import FrontierError, read_seeds


def seeds_of(settings: Settings) -> list[str]:
    """The seed pages, from the list and the file. Raises UsageError where there are none, or one is no url."""
    assert settings.collect.crawl is not None
    try:
        return read_seeds(settings.collect.crawl)
    except FrontierError as error:
        raise UsageError(f"collect.crawl: {error}") from error


def warc_files(settings: Settings) -> list[str]:
    warc = settings.collect.warc
    return _expand("collect.warc.paths", warc.paths) if warc else []


def table_files(settings: Settings) -> list[str]:
    tables = settings.collect.tables
    return _expand("collect.tables.paths", tables.paths) if tables else []


def adopted_files(settings: Settings) -> list[str]:
    """The tars of a folder that another tool wrote."""
    adopt = settings.collect.adopt
    return _expand("collect.adopt.folder", [storage.join(adopt.folder, "*.tar")]) if adopt else []


def _expand(key: str, patterns: Iterable[str]) -> list[str]:
    """Absolute paths, or urls, of the files that the patterns match, in their order. Raises UsageError."""
    files: list[str] = []
    for pattern in patterns:
        try:
            found = storage.glob_files(pattern)
        except storage.StorageError as error:
            raise UsageError(f"{key}: {error}") from error
        if not found:
            raise UsageError(f"{key}: {pattern} matches no file; give a file or a pattern such as 'tables/*.parquet'")
        files += found
    return list(dict.fromkeys(files))
