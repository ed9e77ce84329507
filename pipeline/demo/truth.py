"""What should become of every image of the demo. The pipeline never reads this; `check` and the tests do."""

import pyarrow as pa

from filters.url import normalise_url, uid_of
from pipeline.demo.kinds import BY_NAME
from pipeline.demo.plan import Item
from pipeline.demo.settings import DemoSettings
from pipeline.demo.web import build_web

SCHEMA = pa.schema(
    [
        ("uid", pa.binary(16)),
        ("url", pa.string()),
        ("fate", pa.string()),  # "kept" or the reason of the drop
        ("kind", pa.string()),  # a name of kinds.py
        ("shape", pa.string()),
        ("colour", pa.string()),
        ("count", pa.int64()),
        ("language", pa.string()),  # of the first caption; "" where it is in none
        ("caption", pa.string()),  # the first one
        ("occurrences", pa.int64()),
        ("copy_of", pa.string()),  # url; of it and its copies exactly one stays, whichever
    ]
)


def truth(settings: DemoSettings) -> pa.Table:
    """A row for every distinct image url of the web."""
    return pa.Table.from_pylist([_row(item) for item in build_web(settings).items.values()], schema=SCHEMA)


def search_truth(settings: DemoSettings, shape: str, colour: str) -> set[bytes]:
    """The uids of the pictures that show `shape` in `colour`."""
    items = build_web(settings).items.values()
    return {uid_of_url(i.url) for i in items if (i.scene.shape, i.scene.colour) == (shape, colour)}


def uid_of_url(url: str) -> bytes:
    identity = normalise_url(url)
    return uid_of(url if identity is None else identity)


def _row(item: Item) -> dict[str, object]:
    first = item.texts[0]
    return {
        "uid": uid_of_url(item.url),
        "url": item.url,
        "fate": BY_NAME[item.kind].fate,
        "kind": item.kind,
        "shape": item.scene.shape,
        "colour": item.scene.colour,
        "count": item.scene.number,
        "language": first.language,
        "caption": first.text,
        "occurrences": len(item.texts),
        "copy_of": item.copy_of,
    }
