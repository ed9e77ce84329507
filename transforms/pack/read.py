"""The kept rows of a selection, joined with their rows in `images/`. No Beam."""

from collections.abc import Iterator

from transforms import run_dir
from transforms.formats import parquet
from transforms.pack.shuffle import rank_of
from transforms.records import Image, Sample, Selected
from transforms.rounds import live_images


def kept_uids(run: str, name: str, part: str) -> list[bytes]:
    return [row.uid for row in _selected(run, name, part) if row.kept]


def kept_samples(run: str, name: str, part: str, seed: int) -> Iterator[Sample]:
    """A part's kept pairs. Selection and images name the same rows in the same order."""
    for selected, (_, image) in zip(_selected(run, name, part), live_images(run, part), strict=True):
        if selected.kept:
            yield sample_of(selected, image, seed)


def sample_of(selected: Selected, image: Image, seed: int) -> Sample:
    by_id = {caption.id: caption for caption in image.captions}
    chosen = tuple(by_id[i] for i in selected.caption_ids)
    return Sample(rank_of(image.uid, seed), image._replace(captions=chosen), selected.similarity)


def _selected(run: str, name: str, part: str) -> Iterator[Selected]:
    return parquet.read_rows(run_dir.selected_rows(run, name, part), Selected)
