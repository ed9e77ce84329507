"""Settings of the `score` section."""

from typing import Literal

from pydantic import Field

from filters.rules import IS_PATH, Rules, operational


class ScoreSettings(Rules):
    """Which CLIP measures, and how. `model: none` measures nothing."""

    # An open_clip name, a folder in open_clip's local-dir form, or a .safetensors file.
    model: str = Field("none", json_schema_extra=IS_PATH)
    pretrained: str = ""  # open_clip's tag, where `model` is a name
    name: str = ""  # what the scores are called; the model's own name where empty
    batch_images: int = Field(64, ge=1)  # one shape for every batch: scores must not depend on what is beside
    batch_texts: int = Field(256, ge=1)  # one shape for every batch, as with images
    precision: Literal["fp32", "bf16"] = "fp32"  # of the model's weights and sums
    device: Literal["auto", "cpu", "cuda"] = operational("auto")  # auto takes a GPU where there is one
    threads: int = Field(1, ge=1)  # a sum's order follows the threads, so their number is part of the result
    embeddings: bool = False  # also write <part>.image.npy and <part>.text.npy, float16

    @property
    def enabled(self) -> bool:
        return self.model != "none"

    @property
    def label(self) -> str:
        """What the rows of `scores/` name as their model."""
        base = self.model.rstrip("/").rsplit("/", 1)[-1]
        return self.name or (f"{base}/{self.pretrained}" if self.pretrained else base)
