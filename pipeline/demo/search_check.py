"""Image search by text over the demo's shards, judged by the truth: what is asked for is what is shown."""

from pathlib import Path

from pipeline.demo.pictures import COLOURS
from pipeline.demo.settings import DemoSettings
from pipeline.demo.shapes import SHAPES
from pipeline.demo.truth import search_truth
from pipeline.demo.words import NOUNS

SHOWN = 10
LEAST_PRECISION = 0.9  # at 10, over every shape in every colour that is there often enough


def precision_at_ten(index: Path, settings: DemoSettings) -> dict[str, float]:
    """query → the share of its ten best answers that show what was asked for."""
    from trainer.model import load_clip
    from trainer.search.query import Index, search

    opened = Index(str(index))
    clip = load_clip(opened.about["model"], device="cpu")
    known = set(opened.table["key"].to_pylist())
    found = {}
    for shape in SHAPES:
        for colour in COLOURS:
            right = {uid.hex() for uid in search_truth(settings, shape, colour)} & known
            if len(right) >= SHOWN:
                query = f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {NOUNS['en'][shape].one}"
                hits = {hit.key for hit in search(opened, clip, query, SHOWN)}
                found[query] = len(right & hits) / SHOWN
    return found


def check_search(run: Path, settings: DemoSettings, model: Path) -> int:
    """Index the shards of a run, ask, and print the figures; returns 1 where they are too low."""
    from trainer.search.index import build_index

    index = run / "search"
    build_index(str(run / "shards" / "main"), str(model), str(index), device="cpu")
    found = precision_at_ten(index, settings)
    mean = sum(found.values()) / max(1, len(found))
    worst = sorted(found.items(), key=lambda item: item[1])[:3]
    print(f"search: precision@{SHOWN} {mean:.3f} over {len(found)} queries such as {next(iter(found), '')!r}; lowest "
          + ", ".join(f"{query!r} {value:.1f}" for query, value in worst))  # fmt: skip
    return 0 if found and mean >= LEAST_PRECISION else 1
