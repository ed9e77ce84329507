"""Where things lie in a run directory. One place for every name."""

from pathlib import Path

from transforms import storage
from transforms.rounds import round_of

CANDIDATES, REJECTS, PAGES, IMAGES, SCORES = "candidates", "rejects", "pages", "images", "scores"
LOGS = "logs"


def selection_folder(run: str, name: str) -> str:
    return storage.join(run, "selection", name)


def shards_folder(run: str, name: str) -> str:
    return storage.join(run, "shards", name)


def is_part(name: str) -> bool:
    """Whether a file of `images/` is a part's Parquet: a commit."""
    return name.endswith(".parquet") and not name.endswith(".log.parquet")


def part_stems(run: str, folder: str = IMAGES) -> list[str]:
    """The stems of the committed parts of `images/` (or of the parts beside them in another folder)."""
    names = storage.list_names(storage.join(run, folder), "*.parquet")
    return [n.removesuffix(".parquet") for n in names if is_part(n)]


def stems_of_round(run: str, round_: int) -> list[str]:
    """The stems of the committed parts of one round of asking."""
    return [stem for stem in part_stems(run) if round_of(stem) == round_]


def default_run(config: str) -> str:
    """`runs/<stem of the configuration>`."""
    return storage.join("runs", Path(config).stem)


def is_selected(run: str, name: str) -> bool:
    """Whether a selection of that name is finished."""
    return storage.exists(storage.join(run, "manifest", f"select.{name}.json"))
