"""The committed model looks: it tells true captions from wrong ones on pictures that nobody has seen."""

from pathlib import Path

import numpy as np
import open_clip
import pytest

from pipeline.demo.auc import auc, aucs, measure
from pipeline.demo.build_model import card, cut, good_enough, scorer
from pipeline.demo.command import MODEL
from pipeline.demo.words import KEPT_LANGUAGES

WEIGHTS = MODEL / "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def found():
    return measure(scorer(MODEL), pictures=300, seed=99)


def test_it_is_small_enough_to_commit():
    assert WEIGHTS.stat().st_size <= 10 * 1024 * 1024


def test_it_tells_true_captions_from_wrong_ones_in_every_language(found):
    areas = aucs(found)
    assert set(areas.hard) == {"all", *KEPT_LANGUAGES}
    assert min(areas.random.values()) >= 0.99
    assert min(areas.hard.values()) >= 0.90
    assert good_enough(areas)


def test_one_threshold_keeps_the_true_and_drops_the_wrong(found):
    threshold = cut(found)
    assert (found.true >= threshold).mean() >= 0.98
    assert (found.random < threshold).mean() >= 0.95
    assert (found.hard < threshold).mean() >= 0.70


def test_its_card_tells_its_figures(found):
    text = card(aucs(found), found)
    assert str(cut(found)) in text
    assert all(f"| {language} |" in text for language in KEPT_LANGUAGES)
    assert "area under the curve" in (MODEL / "README.md").read_text()


def test_open_clip_loads_it_as_any_checkpoint():
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{MODEL}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{MODEL}")
    assert model.encode_text(tokenizer(["a red circle"])).shape == (1, 64)
    assert isinstance(tokenizer, open_clip.SimpleTokenizer)
    assert preprocess is not None


def test_areas_under_the_curve_are_what_counting_says():
    rng = np.random.default_rng(1)
    true, wrong = rng.integers(0, 9, 40), rng.integers(0, 7, 30)
    pairs = [(t > w) + 0.5 * (t == w) for t in true for w in wrong]
    assert auc(true, wrong) == pytest.approx(np.mean(pairs))
    assert auc(np.array([1.0]), np.array([0.0])) == 1.0


def test_the_folder_holds_what_open_clip_asks_for():
    assert {path.name for path in Path(MODEL).iterdir()} >= {"open_clip_config.json", WEIGHTS.name, "README.md"}
