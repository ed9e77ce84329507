"""A few examples for every reason: those with the smallest uids, so that a report does not depend on chance."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow.dataset as ds

from filters.contact import redact
from filters.reasons import Reason
from pipeline.columns import read_columns
from transforms import run_dir
from transforms.formats import parquet

EACH = 4


class Example(NamedTuple):
    """One dropped thing, as a person should see it."""

    uid: bytes
    url: str
    caption: str
    value: float | None
    detail: str


Examples = dict[tuple[str, str, str], list[Example]]  # (stage, step, reason) → examples


def find_examples(run: str, name: str) -> Examples:
    """Up to EACH examples of every reason at every step."""
    found: Examples = {}
    for row in read_columns(run, run_dir.REJECTS, ["uid", "step", "url", "caption", "reason", "value", "detail"]):
        _offer(found, ("collect", row["step"], row["reason"]), row, row["caption"])
    columns = ["uid", "step", "url", "kept", "reason", "value", "detail"]
    for row in read_columns(run, run_dir.selection(name), columns):
        if not row["kept"]:
            stage = "fetch" if row["step"] == "fetch" else "select"
            _offer(found, (stage, row["step"], row["reason"]), row, "")
    return _with_captions(run, found)


def _offer(found: Examples, key: tuple[str, str, str], row: dict[str, Any], caption: str) -> None:
    known = found.setdefault(key, [])
    if len(known) < EACH or row["uid"] < known[-1].uid:
        known.append(Example(row["uid"], row["url"], caption, row["value"], row["detail"]))
        known.sort(key=lambda e: (e.uid, e.caption))
        del known[EACH:]


def _with_captions(run: str, found: Examples) -> Examples:
    """Captions of what was dropped after the fetch are in `images/`; private ones are redacted here too."""
    wanted = {e.uid for (stage, _, _), examples in found.items() if stage != "collect" for e in examples}
    texts = dict(_captions(run, wanted))
    return {key: [_captioned(e, key[2], texts) for e in examples] for key, examples in found.items()}


def _captioned(example: Example, reason: str, texts: dict[bytes, str]) -> Example:
    caption = example.caption or texts.get(example.uid, "")
    return example._replace(caption=redact(caption) if reason == Reason.CAPTION_CONTACT else caption)


def _captions(run: str, uids: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
    wanted = ds.field("uid").isin(list(uids))
    for stem in run_dir.part_stems(run):
        for row in parquet.rows_where(run_dir.image_rows(run, stem), wanted, ["uid", "caption"]):
            yield row["uid"], row["caption"]
