"""Models are loaded without running anybody's code, and what cannot be loaded says why."""

import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from trainer.model import ModelError, check_model_name, config_named, create_clip, load_clip, save_clip


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (open, (str(self.canary), "w"))


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "weights.bin", "weights.safetensors"])
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_malicious_checkpoint_is_refused_and_its_code_does_not_run(tmp_path, small_model, name, writer):
    import torch

    canary, weights = tmp_path / "canary", tmp_path / name
    if writer == "torch":
        torch.save({"state_dict": Evil(canary)}, weights)
    else:
        weights.write_bytes(pickle.dumps(Evil(canary)))
    shutil.copy(small_model / "open_clip_config.json", tmp_path)
    for model, pretrained in ((str(weights), ""), ("tiny", str(weights)), ("RN50", str(weights))):
        with pytest.raises(ModelError):
            load_clip(model, pretrained, device="cpu")
    assert not canary.exists()


def test_a_folder_with_a_pickle_only_is_refused(tmp_path, small_model):
    shutil.copy(small_model / "open_clip_config.json", tmp_path)
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "canary")))
    with pytest.raises(ModelError, match=r"no open_clip_model\.safetensors"):
        load_clip(str(tmp_path), device="cpu")
    assert not (tmp_path / "canary").exists()


def test_plain_torch_weights_are_read(tmp_path, small_model):
    import torch

    clip = load_clip(str(small_model), device="cpu")
    torch.save(clip.model.state_dict(), tmp_path / "weights.pt")
    shutil.copy(small_model / "open_clip_config.json", tmp_path)
    tokens = clip.tokenize(["a disc"])
    assert (
        load_clip(str(tmp_path / "weights.pt"), device="cpu").encode_texts(tokens) == clip.encode_texts(tokens)
    ).all()


def test_a_file_of_weights_brings_its_configuration(tmp_path, small_model):
    shutil.copy(small_model / "open_clip_model.safetensors", tmp_path / "alone.safetensors")
    assert load_clip(str(tmp_path / "alone.safetensors"), device="cpu").image_size == 32


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("VIT-B-32", "", "did you mean ViT-B-32"),
        ("ViT-B-32", "", "without weights"),
        ("ViT-B-32", "laion9b", "no pretrained tag 'laion9b'"),
        ("/nowhere/model.safetensors", "", "no such file or folder"),
        ("local-dir:/nowhere", "", "no such file or folder"),
    ],
)
def test_what_cannot_be_loaded_says_why(model, pretrained, message):
    with pytest.raises(ModelError, match=message):
        check_model_name(model, pretrained)


def test_broken_folders_say_why(tmp_path, small_model):
    with pytest.raises(ModelError, match=r"no open_clip_config\.json"):
        load_clip(str(tmp_path))
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(ModelError, match="embed_dim, vision_cfg, text_cfg missing"):
        load_clip(str(tmp_path))
    shutil.copy(small_model / "open_clip_config.json", tmp_path)
    with pytest.raises(ModelError, match=r"no open_clip_model\.safetensors"):
        load_clip(str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(ModelError, match="broken"):
        load_clip(str(tmp_path), device="cpu")


def test_weights_of_another_architecture_are_refused(small_model):
    with pytest.raises(ModelError, match="do not fit"):
        load_clip("tiny", str(small_model / "open_clip_model.safetensors"), device="cpu")


def test_no_network_is_told_with_the_remedy(monkeypatch):
    import open_clip

    def unreachable(*args, **kwargs):
        raise RuntimeError("Failed to download weights: name not known")

    monkeypatch.setattr(open_clip, "create_model", unreachable)
    with pytest.raises(ModelError, match=r"Without network, bring the \.safetensors file"):
        load_clip("ViT-B-32", "laion2b_s34b_b79k", device="cpu")


def test_unknown_precision_and_missing_device_are_refused(small_model):
    with pytest.raises(ModelError, match="precision"):
        load_clip(str(small_model), device="cpu", precision="int3")


def test_preprocessing_is_open_clips(small_model):
    import open_clip
    import torch

    clip = load_clip(str(small_model), device="cpu")
    _, _, theirs = open_clip.create_model_and_transforms(f"local-dir:{small_model}")
    rng = np.random.default_rng(0)
    for size in ((70, 50), (32, 32), (20, 90)):
        image = Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8))
        pixels = clip.preprocess(image)
        assert pixels.shape == (3, 32, 32)
        assert (clip.preprocess(np.asarray(image)) == pixels).all()
        assert torch.allclose(clip.normalise(torch.from_numpy(pixels[None]))[0], theirs(image), atol=1e-6)


def test_embeddings_are_unit_vectors_in_every_precision(small_model):
    images = np.random.default_rng(0).integers(0, 255, (3, 3, 32, 32), dtype=np.uint8)
    full = load_clip(str(small_model), device="cpu").encode_images(images)
    half = load_clip(str(small_model), device="cpu", precision="bf16").encode_images(images)
    assert full.shape == (3, 32)
    assert full.dtype == half.dtype == np.float32
    assert np.allclose(np.linalg.norm(full, axis=1), 1, atol=1e-5)
    assert np.allclose(full, half, atol=0.02)


def test_texts_that_are_too_long_are_cut(small_model):
    clip = load_clip(str(small_model), device="cpu")
    assert clip.tokenize(["word " * 500, "图 ไทย"]).shape == (2, 24)


def test_the_same_weights_are_written_as_the_same_bytes(tmp_path, small_config):
    for name in ("a", "b"):
        save_clip(create_clip(small_config, seed=5), tmp_path / name)
    files = [(tmp_path / name / "open_clip_model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


@pytest.mark.parametrize("name", ["tiny", "tiny-vit"])
def test_our_own_architectures_can_be_made(name):
    clip = create_clip(config_named(name), seed=0)
    assert clip.encode_texts(clip.tokenize(["a"])).shape == (1, clip.dim)


def test_importing_the_loader_costs_nothing():
    code = "import sys, trainer.model, trainer.arguments; print('torch' in sys.modules, 'open_clip' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
