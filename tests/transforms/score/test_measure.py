"""A score is a function of the pair and the model: not of the part, the batch, or what stands beside it."""

import io
import random

import apache_beam as beam
import numpy as np
import pytest
from helpers.samples import image
from PIL import Image as Picture

from trainer.model import config_named, create_clip, load_clip, save_clip
from transforms.formats import parquet
from transforms.formats.tar import TarWriter
from transforms.records import Image, Score
from transforms.score.measure import score_part
from transforms.score.settings import ScoreSettings
from transforms.score.transform import ScoreParts

STEM = "0000-00000-00000"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_clip(create_clip(config_named("tiny"), seed=3), folder)
    return str(folder)


def pixels(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    small = Picture.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((120, 90))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=95)
    return out.getvalue()


def write_part(run, stem, numbers) -> list[Image]:
    (run / "images").mkdir(exist_ok=True)
    rows = []
    with open(run / "images" / f"{stem}.tar", "wb") as file:
        tar = TarWriter(file)
        for n in numbers:
            row = image(f"http://h.example/{n}.jpg", f"text {n} of a picture", f"another text {n % 3}")
            if n % 7 == 6:
                rows.append(row._replace(status="failed_to_download", reason="timeout"))
                continue
            data = pixels(n)
            offset = tar.add(f"{row.key}.jpg", data)
            rows.append(row._replace(tar=f"{stem}.tar", offset=offset, length=len(data)))
        tar.close()
    parquet.write_rows(str(run / "images" / f"{stem}.parquet"), Image, rows)
    return rows


def scores_of(run, stem=STEM) -> dict:
    return {
        (s.uid, s.caption_id): s.similarity for s in parquet.read_rows(str(run / "scores" / f"{stem}.parquet"), Score)
    }


def test_every_caption_of_every_image_is_scored(tmp_path, model):
    rows = write_part(tmp_path, STEM, range(10))
    clip = load_clip(model, device="cpu")
    assert score_part(str(tmp_path), STEM, clip, ScoreSettings(model=model, batch_images=4, batch_texts=4)) == 18
    scores = scores_of(tmp_path)
    assert set(scores) == {(r.uid, c.id) for r in rows if r.status == "success" for c in r.captions}
    row = rows[3]
    picture = clip.encode_images(clip.preprocess(Picture.open(io.BytesIO(pixels(3))).convert("RGB"))[None])
    expected = picture @ clip.encode_texts(clip.tokenize([c.text for c in row.captions])).T
    found = [scores[row.uid, c.id] for c in row.captions]
    assert found == pytest.approx(expected[0].tolist(), abs=1e-5)


def test_scores_do_not_depend_on_company_or_order(tmp_path, model):
    clip, settings = load_clip(model, device="cpu"), ScoreSettings(model=model, batch_images=4, batch_texts=8)
    numbers = list(range(6))
    for stem, order in ((STEM, numbers), ("0000-00000-00001", random.Random(1).sample(numbers, 6))):
        write_part(tmp_path, stem, order)
        score_part(str(tmp_path), stem, clip, settings)
    assert scores_of(tmp_path) == scores_of(tmp_path, "0000-00000-00001")


def test_a_part_without_images_has_an_empty_file(tmp_path, model):
    write_part(tmp_path, STEM, [6, 13])
    assert score_part(str(tmp_path), STEM, load_clip(model, device="cpu"), ScoreSettings(model=model)) == 0
    assert scores_of(tmp_path) == {}


def test_embeddings_when_asked(tmp_path, model):
    write_part(tmp_path, STEM, range(5))
    settings = ScoreSettings(model=model, embeddings=True)
    score_part(str(tmp_path), STEM, load_clip(model, device="cpu"), settings)
    images = np.load(tmp_path / "scores" / f"{STEM}.image.npy")
    texts = np.load(tmp_path / "scores" / f"{STEM}.text.npy")
    assert images.dtype == texts.dtype == np.float16
    assert (len(images), len(texts)) == (5, 10)


def test_the_stage_scores_parts_once(tmp_path, model):
    write_part(tmp_path, STEM, range(5))
    for _ in range(2):
        with beam.Pipeline("FnApiRunner") as pipeline:
            pipeline | beam.Create([STEM]) | ScoreParts(str(tmp_path), ScoreSettings(model=model))
        written = (tmp_path / "scores" / f"{STEM}.parquet").stat()
    assert len(scores_of(tmp_path)) == 10
    assert (tmp_path / "scores" / f"{STEM}.parquet").stat().st_ino == written.st_ino


def test_the_label_names_the_model():
    assert ScoreSettings(model="ViT-B-32", pretrained="openai").label == "ViT-B-32/openai"
    assert ScoreSettings(model="/a/b/my-model/").label == "my-model"
    assert ScoreSettings(model="/a/b", name="mine").label == "mine"
