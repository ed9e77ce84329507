"""Shards and models that the tests of the readers share."""

from pathlib import Path

import pytest
from helpers import shards as builder

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 48, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture
def shards() -> object:
    """The module that builds shards."""
    return builder


@pytest.fixture
def sound(tmp_path) -> Path:
    """Two shards with 20 samples, nothing wrong with them."""
    return builder.write(tmp_path / "shards", builder.samples(20))


@pytest.fixture
def small_config() -> dict:
    return SMALL


@pytest.fixture(scope="session")
def small_model(tmp_path_factory) -> Path:
    """A folder with a tiny model of random weights."""
    from trainer.model import create_clip, save_clip, set_threads

    set_threads(1)
    folder = tmp_path_factory.mktemp("model")
    save_clip(create_clip(SMALL, seed=1), folder)
    return folder
