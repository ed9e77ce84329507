"""Training learns; settings that cannot work are refused."""

import json

import numpy as np
import pytest
from helpers import shards as builder

from trainer.errors import InputError, ModelError, ShardError
from trainer.evaluate import evaluate
from trainer.model import load_clip
from trainer.train import Schedule, TrainSettings, augmented, contrastive_loss, encode_words, steps_of, train

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 48, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Shards of 16 kinds of picture, captions that name the kind, and a model trained on them for a few seconds."""

    folder = tmp_path_factory.mktemp("toy")
    kinds = [f"a {c} {s}" for s in builder.SHAPES for c in builder.COLOURS]
    shards = builder.write(folder / "shards", builder.samples(320, {n: kinds[n % 16] for n in range(320)}), 160)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    settings = TrainSettings(model=str(folder / "config.json"), steps=150, batch=32, lr=3e-3, threads=1, device="cpu",
                             held_out=0.1)  # fmt: skip
    return shards, folder / "model", train(shards, folder / "model", settings)


def test_training_reduces_the_loss(toy):
    _, _, result = toy
    assert result["last_loss"] < 0.7 * result["first_loss"]
    assert result["samples"] + result["held_out"] == 320
    assert [p["step"] for p in result["loss"]] == [1, 50, 100, 150]


def test_retrieval_and_zero_shot_are_above_chance(toy, tmp_path):
    shards, model, _ = toy
    classes = [{"name": c, "prompts": [f"a {c} disc", f"a {c} box"], "words": [c]} for c in ("red", "green", "blue")]
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    figures = evaluate(str(model), str(shards), str(tmp_path / "classes.json"), device="cpu", limit=300)
    retrieval, zero = figures["retrieval"], figures["zero_shot"]
    assert retrieval["texts"] == 16
    assert retrieval["image_to_text"]["1"] > 3 * retrieval["image_to_text_chance"]["1"]
    assert retrieval["text_to_image"]["1"] > 3 * retrieval["text_to_image_chance"]["1"]
    assert zero["top1"] > zero["chance"] + 0.2
    assert zero["samples"] in range(200, 240)


def test_open_clip_loads_what_was_written(toy):
    import open_clip
    import torch

    _, model, _ = toy
    theirs = open_clip.create_model(f"local-dir:{model}").eval()
    ours = load_clip(str(model), device="cpu")
    tokens = ours.tokenize(["a red disc"])
    with torch.inference_mode():
        expected = theirs.encode_text(torch.from_numpy(tokens), normalize=True).numpy()
    assert np.abs(ours.encode_texts(tokens) - expected).max() < 1e-5


def test_training_again_gives_the_same_weights(sound, tmp_path, small_model):
    for name in ("a", "b"):
        train(sound, tmp_path / name, TrainSettings(init=str(small_model), steps=3, batch=8, threads=1, device="cpu"))
    name = "open_clip_model.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / name).read_bytes() != (small_model / name).read_bytes()


def test_images_that_do_not_decode_are_left_out(tmp_path, shards, small_model):
    found = shards.samples(12)
    found[3] = (found[3][0], "jpg", b"no image at all")
    folder = shards.write(tmp_path / "s", found)
    result = train(folder, tmp_path / "m", TrainSettings(init=str(small_model), steps=1, batch=4, device="cpu"))
    assert result["undecodable"] == 1
    assert result["samples"] + result["held_out"] == 11


def test_an_uncached_run_learns_from_the_same_batches(sound, tmp_path, small_model):
    losses = []
    for cache in (0, 1 << 30):
        settings = TrainSettings(init=str(small_model), steps=2, batch=8, threads=1, device="cpu", cache_bytes=cache)
        losses.append(train(sound, tmp_path / str(cache), settings)["loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("field", ["steps", "epochs", "max_seconds", "lr"])
def test_settings_below_zero_are_refused(sound, tmp_path, field):
    with pytest.raises(InputError, match=field):
        train(sound, tmp_path / "m", TrainSettings(**{field: -1}))


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"batch": 1}, InputError), ({"held_out": 1.0}, InputError), ({"model": "no-such-model"}, ModelError)],
)
def test_settings_that_cannot_work_are_refused(sound, tmp_path, settings, error):
    with pytest.raises(error):
        train(sound, tmp_path / "m", TrainSettings(**settings))


def test_shards_that_are_not_there_are_refused(tmp_path, small_model):
    with pytest.raises(ShardError, match="no such folder"):
        train(tmp_path / "nowhere", tmp_path / "m", TrainSettings(init=str(small_model), device="cpu"))


def test_the_loss_is_clips():
    import torch

    generator = torch.Generator().manual_seed(0)
    picture, text = (torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=-1) for _ in "ab")
    logits = (7.0 * picture @ text.T).numpy()
    by_row = -np.log(np.exp(logits).diagonal() / np.exp(logits).sum(1)).mean()
    by_column = -np.log(np.exp(logits).diagonal() / np.exp(logits).sum(0)).mean()
    assert float(contrastive_loss(picture, text, torch.tensor(7.0))) == pytest.approx(
        (by_row + by_column) / 2, rel=1e-5
    )


def test_equal_captions_are_not_held_against_each_other():
    import torch

    vectors = torch.eye(3)[[0, 0, 1]]
    words = torch.tensor([[5, 1], [5, 1], [6, 1]])
    alone = contrastive_loss(vectors[1:], vectors[1:], torch.tensor(10.0), words[1:])
    together = contrastive_loss(vectors, vectors, torch.tensor(10.0), words)
    assert float(together) == pytest.approx(float(alone), abs=1e-3)
    assert float(contrastive_loss(vectors, vectors, torch.tensor(10.0))) > 0.4


def test_leaving_out_the_padding_changes_nothing(small_model):
    import torch

    clip = load_clip(str(small_model), device="cpu")
    words = torch.from_numpy(clip.tokenize(["a", "a red disc on a yellow box", ""]))
    with torch.inference_mode():
        assert torch.allclose(encode_words(clip.model, words), clip.model.encode_text(words), atol=1e-6)


def test_shifted_images_keep_their_shape_and_a_flip_is_only_done_when_asked():
    images = np.arange(4 * 3 * 16 * 16, dtype=np.uint32).astype(np.uint8).reshape(4, 3, 16, 16)
    rng = np.random.default_rng(0)
    still = TrainSettings(shift=0.0)
    assert (augmented(images, rng, still) == images).all()
    assert augmented(images, rng, TrainSettings(shift=0.2)).shape == images.shape
    flipped = augmented(images, np.random.default_rng(1), TrainSettings(shift=0.0, flip=True))
    assert all((f == i).all() or (f == i[..., ::-1]).all() for f, i in zip(flipped, images, strict=True))
    assert not (flipped == images).all()


def test_how_long_training_takes():
    assert steps_of(TrainSettings(), 100) == 2_000
    assert steps_of(TrainSettings(epochs=2, batch=10), 100) == 20
    assert steps_of(TrainSettings(max_seconds=5), 100) is None
    assert steps_of(TrainSettings(steps=7, max_seconds=5), 100) == 7


def test_the_learning_rate_rises_and_falls():
    schedule = Schedule(TrainSettings(steps=100, lr=1.0, warmup=0.1), 1_000)
    rates = [schedule.lr(schedule.progress(step)) for step in range(101)]
    assert max(rates) == rates[10] == 1.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)
