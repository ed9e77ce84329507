"""The one loader of CLIP models, through open_clip: by name and pretrained tag, from a folder, from a file of weights.

No pickle is ever executed: weights are safetensors, or a torch file read with `weights_only=True`. torch and open_clip
are imported when a function needs them, so that this module costs nothing to import and a base install can do so.
"""

import difflib
import importlib.util
import json
import os
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import ModelError
from trainer.files import is_url

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = ["Clip", "ModelError", "check_model_name", "create_clip", "load_clip", "save_clip", "set_threads"]

CONFIG_NAME = "open_clip_config.json"  # open_clip's own names, so that `local-dir:FOLDER` loads what we write
WEIGHTS_NAME = "open_clip_model.safetensors"
OWN_CONFIGS = Path(__file__).parent / "configs"
TORCH_SUFFIXES = (".pt", ".pth", ".bin")
PRECISIONS = ("fp32", "bf16")
HUB_PREFIX = "hf-hub:"
LOCAL_PREFIX = "local-dir:"
# Read once, when torch loads OpenMP. By default its threads spin while they wait for each other: beside other busy
# processes that takes half of the processor from the thread that they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# What open_clip, torch, safetensors and the hub's client raise for a model that cannot be had.
LOADING_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError, EOFError,
                  ImportError, struct.error, pickle.UnpicklingError)  # fmt: skip


class Clip:
    """A CLIP model with everything between it and images and texts.

    `model`: the torch module. `config`: open_clip's `{"model_cfg", "preprocess_cfg"}`. `image_size`: pixels a side.
    `mean`, `std`: (3,) of the normalisation, for values 0..1. `dim`: of the embeddings.
    """

    def __init__(self, model: "torch.nn.Module", config: dict[str, Any], tokenizer: Any, device: str = "cpu",
                 precision: str = "fp32") -> None:  # fmt: skip
        self.model, self.config, self.device, self.precision = model, config, device, precision
        self._tokenizer = tokenizer
        self._resize = _resize_of(config["preprocess_cfg"])
        size = config["preprocess_cfg"]["size"]
        self.image_size: int = size if isinstance(size, int) else int(size[0])
        self.mean: tuple[float, ...] = tuple(config["preprocess_cfg"]["mean"])
        self.std: tuple[float, ...] = tuple(config["preprocess_cfg"]["std"])
        self.dim: int = int(config["model_cfg"]["embed_dim"])

    def tokenize(self, texts: Sequence[str]) -> np.ndarray:
        """(n, context) int64. Texts that are too long are cut, as open_clip does."""
        return self._tokenizer(list(texts)).numpy()

    def preprocess(self, image: "Image | np.ndarray") -> np.ndarray:
        """A picture, or uint8 (height, width, 3), to uint8 (3, s, s): open_clip's resize and centre crop, without its
        normalisation. The same picture gives the same bytes."""
        from PIL import Image as Picture

        picture = Picture.fromarray(image) if isinstance(image, np.ndarray) else image
        small = self._resize(picture.convert("RGB"))
        return np.ascontiguousarray(np.asarray(small, np.uint8).transpose(2, 0, 1))

    def normalise(self, images: "torch.Tensor") -> "torch.Tensor":
        """uint8 (n, 3, s, s) on the model's device to what the image encoder takes."""
        import torch

        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
        return (images.float() / 255 - mean) / std

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """uint8 (n, 3, s, s) to (n, dim) float32 unit vectors. Their last bits depend on n: keep it fixed."""
        import torch

        with torch.inference_mode(), autocast(self.device, self.precision):
            batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
            return _unit(self.model.encode_image(self.normalise(batch)))  # type: ignore[operator]

    def encode_texts(self, tokens: np.ndarray) -> np.ndarray:
        """(n, context) int64 to (n, dim) float32 unit vectors. Their last bits depend on n: keep it fixed."""
        import torch

        with torch.inference_mode(), autocast(self.device, self.precision):
            batch = torch.from_numpy(np.ascontiguousarray(tokens)).to(self.device)
            return _unit(self.model.encode_text(batch))  # type: ignore[operator]

    @staticmethod
    def set_threads(threads: int) -> None:
        set_threads(threads)


def _unit(features: "torch.Tensor") -> np.ndarray:
    import torch

    vectors = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    if not np.isfinite(vectors).all():
        raise ModelError("the model gives embeddings that are not finite: choose another model or precision")
    return vectors


def check_finite(state: "Mapping[str, torch.Tensor]", where: str) -> None:
    """Raises ModelError naming the first weights that hold NaN or an infinity."""
    for name, weights in state.items():
        if weights.is_floating_point() and not weights.isfinite().all():
            raise ModelError(f"{where}: {name} holds values that are not finite; use another checkpoint")


def autocast(device: str, precision: str) -> "torch.autocast":
    """The context in which matrices are multiplied in bfloat16, where `precision` asks for it."""
    import torch

    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bf16")


def set_threads(threads: int) -> None:
    """How many threads torch uses in this process. The order of a sum follows it, so results depend on it."""
    import torch

    torch.set_num_threads(threads)


def load_clip(model: str, pretrained: str = "", *, device: str = "auto", precision: str = "fp32") -> Clip:
    """The model, ready to encode. Raises ModelError.

    `model`: an open_clip name with `pretrained` a tag or a file of weights; or a folder with `open_clip_config.json`
    and `open_clip_model.safetensors`; or a file of weights with the configuration beside it or in its metadata.
    `device`: auto | cpu | cuda. `precision`: fp32 | bf16 (weights stay fp32).
    """
    check_model_name(model, pretrained)
    if precision not in PRECISIONS:
        raise ModelError(f"precision {precision!r} is unknown: expected one of {', '.join(PRECISIONS)}")
    device = device_of(device)
    path = Path(model.removeprefix(LOCAL_PREFIX))
    try:
        if os.path.isdir(path):
            return _load_local(read_config(path), weights_in(path), str(path), device, precision)
        if os.path.isfile(path):
            return _load_local(_config_for(path), path, str(path.parent), device, precision)
        if os.path.isfile(pretrained) and (OWN_CONFIGS / f"{model}.json").is_file():
            return _load_local(config_named(model), Path(pretrained), "", device, precision)
        return _load_named(model, pretrained, device, precision)
    except ModelError:
        raise
    except (_safetensor_error(), *LOADING_ERRORS) as error:
        raise _explained(model, pretrained, error) from error


def _safetensor_error() -> type[BaseException]:
    from safetensors import SafetensorError

    return SafetensorError


def device_of(device: str) -> str:
    """`auto` is CUDA where there is one. Raises ModelError."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"device {device}: torch sees no CUDA device here; use device auto or cpu")
    return device


def check_model_name(model: str, pretrained: str = "") -> None:
    """Whether `load_clip` has a chance, found without loading or asking the network. Raises ModelError."""
    for name in ("torch", "open_clip", "safetensors"):
        if importlib.util.find_spec(name) is None:
            raise ModelError(f"model {model!r} needs {name}, which is not installed: pip install 'pairmill[score]'")
    for name in (model, pretrained):
        if is_url(name):
            raise ModelError(f"model {name}: models are read from a local disk; copy it there first")
    path = Path(model.removeprefix(LOCAL_PREFIX))
    if os.path.isdir(path):
        read_config(path)
        weights_in(path)
    elif os.path.isfile(path):
        _check_suffix(path)
        _config_for(path)
    elif not model.startswith(HUB_PREFIX):
        _check_named(model, pretrained)


def _check_named(model: str, pretrained: str) -> None:
    import open_clip

    if model.startswith(LOCAL_PREFIX) or (os.sep in model and model.endswith((".safetensors", *TORCH_SUFFIXES))):
        raise ModelError(f"model {model!r}: no such file or folder")
    _check_known(model)
    if not pretrained:
        raise ModelError(
            f"model {model!r} without weights: name a pretrained tag ({_tags(model)}) or a .safetensors file"
        )
    if os.path.isfile(pretrained):
        _check_suffix(Path(pretrained))
    elif not open_clip.get_pretrained_cfg(model, pretrained):
        raise ModelError(f"model {model!r} has no pretrained tag {pretrained!r}, and there is no such file: "
                         f"its tags are {_tags(model)}")  # fmt: skip


def _check_known(model: str) -> None:
    names = architectures()
    if model not in names:
        near = difflib.get_close_matches(model, names, 3) or ["ViT-B-32", "tiny"]
        raise ModelError(f"no such model: {model!r} is no file, no folder and no open_clip architecture; "
                         f"did you mean {' or '.join(near)}?")  # fmt: skip


def _tags(model: str) -> str:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model) if model in open_clip.list_models() else []
    return ", ".join(tags[:6]) + (", ..." if len(tags) > 6 else "") or "it has none"


def architectures() -> list[str]:
    """Our names (`trainer/configs/`) and open_clip's."""
    import open_clip

    return [*sorted(p.stem for p in OWN_CONFIGS.glob("*.json")), *open_clip.list_models()]


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's `open_clip_config.json`, its preprocessing completed. Raises ModelError."""
    path = folder / CONFIG_NAME
    if not os.path.isfile(path):
        raise ModelError(
            f"{folder}: no {CONFIG_NAME} in it; expected a folder as `pairmill train` or open_clip writes it"
        )
    return _complete(_read_json(path), str(path))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {error}") from error


def _complete(config: Any, where: str) -> dict[str, Any]:
    """`config` in the form `{"model_cfg", "preprocess_cfg"}`; a bare model configuration is accepted."""
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    model_cfg = config.get("model_cfg", config) if isinstance(config, dict) else None
    missing = [
        k for k in ("embed_dim", "vision_cfg", "text_cfg") if not isinstance(model_cfg, dict) or k not in model_cfg
    ]
    if missing or model_cfg is None:
        raise ModelError(f"{where}: no open_clip configuration: {', '.join(missing)} missing in model_cfg")
    base = PreprocessCfg(size=model_cfg["vision_cfg"].get("image_size", 224))
    return {"model_cfg": model_cfg, "preprocess_cfg": merge_preprocess_dict(base, config.get("preprocess_cfg") or {})}


def weights_in(folder: Path) -> Path:
    """The one .safetensors file of a model's folder. Raises ModelError."""
    if (folder / WEIGHTS_NAME).is_file():
        return folder / WEIGHTS_NAME
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return found[0]
    raise ModelError(f"{folder}: no {WEIGHTS_NAME} in it" + (f", and {len(found)} other .safetensors" if found else ""))


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".safetensors", *TORCH_SUFFIXES):
        raise ModelError(
            f"{path}: weights are read from .safetensors, or .pt without code in it, not from {path.suffix!r}"
        )


def _config_for(weights: Path) -> dict[str, Any]:
    """The configuration of a single file of weights: in its metadata, or beside it."""
    if weights.suffix == ".safetensors" and (text := _metadata(weights).get("open_clip_config")):
        return _complete(json.loads(text), f"metadata of {weights}")
    if (weights.parent / CONFIG_NAME).is_file():
        return read_config(weights.parent)
    raise ModelError(f"{weights}: which architecture is it? Put {CONFIG_NAME} beside it, or give the architecture's "
                     "name as model and this file as pretrained")  # fmt: skip


def _metadata(weights: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights}: no safetensors file, or a broken one: {error}") from error


def _load_local(config: dict[str, Any], weights: Path, where: str, device: str, precision: str) -> Clip:
    from open_clip.factory import load_checkpoint

    _check_suffix(weights)
    clip = create_clip(config, device=device, precision=precision, tokenizer_folder=where)
    try:
        load_checkpoint(clip.model, str(weights), weights_only=True)
    except (_safetensor_error(), *LOADING_ERRORS) as error:
        raise _bad_weights(str(weights), error) from error
    check_finite(clip.model.state_dict(), str(weights))
    return clip


def _load_named(model: str, pretrained: str, device: str, precision: str) -> Clip:
    """An open_clip name or `hf-hub:` address. open_clip downloads what is not in its cache."""
    import open_clip

    module = open_clip.create_model(model, pretrained or None, device=device, weights_only=True)
    module.eval()
    check_finite(module.state_dict(), f"model {model!r}, pretrained {pretrained!r}")
    config = {"model_cfg": open_clip.get_model_config(model),
              "preprocess_cfg": dict(open_clip.get_model_preprocess_cfg(module))}  # fmt: skip
    return Clip(module, _complete(config, model), open_clip.get_tokenizer(model), device, precision)


def _bad_weights(weights: str, error: BaseException) -> ModelError:
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error).lower():
        return ModelError(
            f"{weights}: refused, it is not plain weights (a pickle may run code); convert it to .safetensors"
        )
    return ModelError(f"{weights}: weights do not fit the configuration or are broken: {_first_lines(error)}")


def _explained(model: str, pretrained: str, error: BaseException) -> ModelError:
    if os.path.isfile(pretrained):
        return _bad_weights(pretrained, error)
    return ModelError(f"model {model!r}, pretrained {pretrained!r}: cannot be loaded: {_first_lines(error)}. "
                      "Without network, bring the .safetensors file and give it as pretrained")  # fmt: skip


def _first_lines(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


def _resize_of(preprocess_cfg: dict[str, Any]) -> Any:
    """open_clip's own evaluation transform up to, and without, the conversion to a normalised tensor."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose, Normalize, ToTensor

    whole = image_transform_v2(PreprocessCfg(**preprocess_cfg), is_train=False)
    return Compose([t for t in whole.transforms if not isinstance(t, ToTensor | Normalize)])


def create_clip(config: dict[str, Any], *, device: str = "cpu", precision: str = "fp32", seed: int | None = None,
                tokenizer_folder: str = "") -> Clip:  # fmt: skip
    """A model with random weights. `config`: open_clip's, bare or as `{"model_cfg", "preprocess_cfg"}`.
    `seed` makes the weights repeatable. Raises ModelError."""
    import open_clip
    import torch

    config = _complete(config, "configuration")
    if seed is not None:
        torch.manual_seed(seed)
    model_cfg = json.loads(json.dumps(config["model_cfg"]))
    kind = open_clip.CustomTextCLIP if model_cfg.pop("custom_text", False) else open_clip.CLIP
    if "multimodal_cfg" in model_cfg:
        raise ModelError("this architecture (CoCa) also writes captions; only contrastive models are supported")
    try:
        module = kind(**model_cfg)
    except LOADING_ERRORS as error:
        raise ModelError(f"no model can be made of this configuration: {_first_lines(error)}") from error
    module.to(device)
    open_clip.set_model_preprocess_cfg(module, config["preprocess_cfg"])
    return Clip(module.eval(), config, _tokenizer(config["model_cfg"], tokenizer_folder), device, precision)


def _tokenizer(model_cfg: dict[str, Any], folder: str) -> Any:
    import open_clip

    text = model_cfg["text_cfg"]
    options = text.get("tokenizer_kwargs") or {}
    context = text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
    if not text.get("hf_tokenizer_name"):
        return open_clip.SimpleTokenizer(context_length=context, **options)
    try:
        return open_clip.tokenizer.HFTokenizer(folder or text["hf_tokenizer_name"], context_length=context,
                                               tokenizer_mode=text.get("tokenizer_mode"), **options)  # fmt: skip
    except LOADING_ERRORS as error:
        raise ModelError(
            f"the tokenizer {text['hf_tokenizer_name']} cannot be loaded: {_first_lines(error)}"
        ) from error


def config_named(name: str) -> dict[str, Any]:
    """The configuration of an architecture: its name, a JSON file, or a folder with one. Raises ModelError."""
    import open_clip

    path = Path(name.removeprefix(LOCAL_PREFIX))
    if os.path.isdir(path):
        return read_config(path)
    if not os.path.isfile(path):
        _check_known(name)
        path = OWN_CONFIGS / f"{name}.json"
    return _complete(_read_json(path) if os.path.isfile(path) else open_clip.get_model_config(name), name)


def save_clip(clip: Clip, folder: str | Path, dtype: str = "fp16") -> None:
    """Write `open_clip_config.json` and `open_clip_model.safetensors`; open_clip loads them as `local-dir:FOLDER`.
    `dtype`: fp16 | fp32. The same weights give the same bytes. Raises OSError; ModelError, before anything is
    written, where a weight is not finite in that type."""
    import torch
    from safetensors.torch import save_file

    kind = {"fp16": torch.float16, "fp32": torch.float32}[dtype]
    state = {k: v.detach().to("cpu", kind if v.is_floating_point() else v.dtype).contiguous()
             for k, v in clip.model.state_dict().items()}  # fmt: skip
    check_finite(state, f"{folder} is not written: as {dtype}")
    text = json.dumps(clip.config, indent=2, sort_keys=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file(state, Path(folder) / WEIGHTS_NAME, {"open_clip_config": text})
    (Path(folder) / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
