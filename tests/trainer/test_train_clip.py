"""Training learns; settings that cannot work are refused."""

import json
import re
import shutil

import numpy as np
import pytest
from helpers import shards as builder

from trainer.errors import Diverged, InputError, ModelError, ShardError
from trainer.evaluate import evaluate
from trainer.model import load_clip, save_clip
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


def test_training_that_diverges_ends_and_keeps_the_last_good_weights(toy, tmp_path, monkeypatch, capsys):
    from pipeline.cli import main

    shards, _, _ = toy
    words = ["train", str(shards), "--out", str(tmp_path / "model"), "--model", str(shards.parent / "config.json")]
    assert main([*words, "--lr", "1e30", "--steps", "20", "--batch", "16", "--device", "cpu", "--threads", "1"]) == 1
    said = capsys.readouterr().err
    assert re.search(
        r"pairmill: step \d+: .*(nan|inf).*holds the weights after step 0; try a lower --lr than 1e\+30", said
    )
    told = json.loads((tmp_path / "model/train.json").read_text(), parse_constant=pytest.fail)
    assert told["diverged"].startswith("step ")
    assert told["steps"] == 0
    load_clip(str(tmp_path / "model"), device="cpu")
    evaluate(str(tmp_path / "model"), str(shards), device="cpu", limit=50)


def test_the_last_good_weights_are_those_of_a_finite_loss(toy, tmp_path, monkeypatch):
    """The loss breaks at step 8; what is written is what was kept at step 6, after as many steps without a break."""
    from trainer import train as module

    shards, _, _ = toy
    usual = {"model": str(shards.parent / "config.json"), "batch": 16, "threads": 1, "device": "cpu", "log_every": 3}
    real, calls = module.gradient, []

    def breaks(*args):
        calls.append(1)
        loss, length = real(*args)
        return (float("nan") if len(calls) == 8 else loss), length

    kept = {}
    keep = module.LastGood.keep

    def noted(self, step):
        keep(self, step)
        kept[step] = {name: weights.clone() for name, weights in self._state.items()}

    monkeypatch.setattr(module, "gradient", breaks)
    monkeypatch.setattr(module.LastGood, "keep", noted)
    with pytest.raises(Diverged, match=r"step 8: the loss is nan.*weights after step 6"):
        train(shards, tmp_path / "m", TrainSettings(steps=20, dtype="fp32", **usual))
    written = load_clip(str(tmp_path / "m"), device="cpu").model.state_dict()
    assert sorted(kept) == [0, 3, 6]
    assert all((weights == kept[6][name]).all() for name, weights in written.items())


@pytest.mark.parametrize("words", [["--lr", "nan"], ["--lr", "inf"], ["--seconds", "inf"], ["--epochs", "nan"]])
def test_settings_that_are_not_finite_are_refused(toy, tmp_path, capsys, words):
    from pipeline.cli import main

    assert main(["train", str(toy[0]), "--out", str(tmp_path / "m"), *words]) == 2
    assert f"= {words[1]}: expected a number above 0" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("command", ["evaluate", "search"])
def test_a_model_that_is_not_finite_is_refused(toy, tmp_path, capsys, command):
    from safetensors.numpy import load_file, save_file

    from pipeline.cli import main

    shards, model, _ = toy
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = load_file(broken / "open_clip_model.safetensors")
    weights["text_projection"][0, 0] = np.nan
    save_file(weights, broken / "open_clip_model.safetensors")
    words = {"evaluate": ["evaluate", str(broken), str(shards)],
             "search": ["search", "index", str(shards), "--model", str(broken), "--out", str(tmp_path / "index")]}  # fmt: skip
    assert main(words[command]) == 2
    assert "text_projection holds values that are not finite" in capsys.readouterr().err


def test_weights_that_do_not_fit_their_type_are_not_written(toy, tmp_path):
    import torch

    clip = load_clip(str(toy[1]), device="cpu")
    with torch.no_grad():
        clip.model.text_projection[0, 0] = 1e6  # fp16 ends at 65,504
    with pytest.raises(ModelError, match="text_projection"):
        save_clip(clip, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    save_clip(clip, tmp_path / "m", "fp32")


def test_a_model_that_learned_nothing_is_told_apart(toy, tmp_path, capsys):
    from pipeline.cli import main

    shards, model, _ = toy
    words = ["evaluate", str(model), str(shards), "--limit", "200", "--device", "cpu", "--must-beat-chance"]
    assert main(words) == 0
    assert "verdict    retrieval is better than chance" in capsys.readouterr().out
    blind = tmp_path / "blind"
    train(shards, blind, TrainSettings(model=str(shards.parent / "config.json"), steps=1, batch=4, lr=1e-9, threads=1,
                                       device="cpu"))  # fmt: skip
    assert main(["evaluate", str(blind), *words[2:]]) == 1
    assert "NO BETTER THAN CHANCE" in capsys.readouterr().out
    assert main(["evaluate", str(blind), *words[2:-1]]) == 0
