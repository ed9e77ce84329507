"""From a url to the fsspec file system that serves it; fsspec makes one a process and a set of options."""

import importlib.util
import re
from typing import Any
from urllib.parse import urlsplit

from transforms.storage.errors import StorageError, family

# scheme's family → the package that serves it, and our extra that installs it
PACKAGES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gs"), "az": ("adlfs", "az"), "hdfs": ("pyarrow", ""),
            "memory": ("fsspec", "")}  # fmt: skip
KNOWN = "s3://, gs://, az://, abfs://, hdfs://, file:// or a local path"
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PART_BYTES = 16 << 20  # of a multipart upload: 10,000 parts make 160 GB, four at once make 64 MiB of memory
PARTS_AT_ONCE = 4
# A child of a fork that dropped its parent's instance would close connections in the event queue that both share,
# and the parent would wait for ever: so none is ever dropped.
_KEPT: dict[int, Any] = {}


def check_url(url: str) -> None:
    """Raises StorageError for a scheme that nobody serves, a missing package or bucket, or a password in the url."""
    parts = urlsplit(url)
    if ":" in parts.netloc.rpartition("@")[0]:
        raise StorageError(f"{parts.scheme}://...@{parts.hostname}: a url with a password in it is refused; "
                           "give credentials in the environment")  # fmt: skip
    if family(url) not in PACKAGES:
        raise StorageError(f"{url}: unknown kind of store {parts.scheme}://; expected {KNOWN}")
    package, extra = PACKAGES[family(url)]
    if importlib.util.find_spec(package) is None:
        raise StorageError(f"{url}: {parts.scheme}:// needs the package {package}: pip install 'pairmill[{extra}]'")
    if not parts.netloc and family(url) != "hdfs":
        raise StorageError(f"{url}: names no bucket; expected {parts.scheme}://BUCKET/FOLDER")


def reached(url: str, *, hurried: bool = False) -> tuple[Any, str]:
    """The file system of `url` and the path in it. `hurried`: gives up within seconds.

    Raises StorageError, and what the file system's library raises.
    """
    check_url(url)
    from fsspec.core import url_to_fs

    # fsspec sees the bucket alone: in a key it would take `::` for a chain of file systems, and `#` for a fragment.
    bucket, slash, key = _split(url)
    system, root = url_to_fs(bucket, **_options(family(url), hurried))
    _KEPT[id(system)] = system
    if family(url) == "s3":
        system.retries = 1  # botocore has its own, and what is left is ours: three loops would multiply
    return system, f"{root.rstrip('/')}{slash}{key.rstrip('/')}" if key.strip("/") else root


def _split(url: str) -> tuple[str, str, str]:
    """(`s3://bucket`, `/`, key)."""
    scheme, _, rest = url.partition("://")
    bucket, slash, key = rest.partition("/")
    return f"{scheme}://{bucket}", slash, key


def _options(kind: str, hurried: bool) -> dict[str, Any]:
    """What an object that another process has just written is seen with, and how long a silent store is borne."""
    options: dict[str, Any] = {} if kind in ("hdfs", "memory") else {"use_listings_cache": False}
    if kind == "s3":
        options["config_kwargs"] = {
            "connect_timeout": 3 if hurried else 10,
            "read_timeout": 8 if hurried else 60,
            "retries": {"mode": "standard", "total_max_attempts": 2 if hurried else 5},
            "max_pool_connections": 32,
            # AWS's newer default breaks ranged reads on stores that send the whole object's checksum with a range
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
    if kind == "az":
        options["anon"] = False
    return options


def upload_options(url: str) -> dict[str, Any]:
    """Bounds the memory of an upload."""
    return {"s3": {"chunksize": PART_BYTES, "max_concurrency": PARTS_AT_ONCE},
            "gs": {"chunksize": PART_BYTES},
            "az": {"max_concurrency": PARTS_AT_ONCE}}.get(family(url), {})  # fmt: skip


def whole_read_options(url: str) -> dict[str, Any]:
    """One request for one object: s3fs would ask for the size first."""
    return {"max_concurrency": 1} if family(url) == "s3" else {}


def has_folders(url: str) -> bool:
    """Whether the store has folders of its own, and shows a file while it is still being written."""
    return family(url) in ("hdfs", "memory")


def url_of(pattern: str, name: str) -> str:
    """The url of a name that the file system of `pattern` lists."""
    parts = urlsplit(pattern)
    container = parts.netloc.rpartition("@")[0] or parts.netloc
    key = name.lstrip("/") if family(pattern) == "hdfs" else name.lstrip("/").removeprefix(f"{container}/")
    return f"{parts.scheme}://{parts.netloc}/{key}"
