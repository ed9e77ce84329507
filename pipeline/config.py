"""The configuration: YAML with a section a stage, checked whole before any work."""

import difflib
import importlib.resources
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from filters.rules import Rules, operational
from pipeline.demo.settings import DemoSettings
from pipeline.engines.dataflow import DataflowSettings
from pipeline.engines.spark import SparkSettings
from pipeline.errors import UsageError
from transforms import run_dir, storage
from transforms.collect.settings import CollectSettings, OutsideSource
from transforms.fetch.settings import FetchSettings
from transforms.outside import nearest
from transforms.pack.settings import PackSettings
from transforms.score.settings import ScoreSettings
from transforms.select.rules.registry import built_in
from transforms.select.settings import OUTSIDE, SelectSettings
from transforms.web.settings import WebSettings

R = TypeVar("R", bound=Rules)

# Beside its own kind: of a date such as 2020-13-45, of a number with more digits than Python reads, of deep nesting.
YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError)


class ReportSettings(Rules):
    """What the report shows."""

    thumbnails: bool = False  # pictures of other people's pages: only when asked


class EngineSettings(Rules):
    """Where the pipelines run. Nothing here changes a row."""

    runner: str = operational("FnApiRunner")  # or DirectRunner (the same), SparkRunner, DataflowRunner, ...
    workers: int = operational(1, ge=1)  # local worker processes, at most; of fetch, with their decoders
    bytes_per_worker: int = operational(32 * 1024 * 1024, ge=1)  # a stage that reads less starts fewer of them
    spark: SparkSettings = operational(SparkSettings())
    dataflow: DataflowSettings = operational(DataflowSettings())
    hints: dict[str, dict[str, str]] = operational({})  # Beam's resource hints by stage; Dataflow acts on them
    options: list[str] = operational([])  # more Beam options, as after `--` on the command line
    max_internal_errors: float = operational(0.0001, ge=0, le=1)  # share of the candidates
    max_drop_share: float = operational(1.0, ge=0, le=1)  # a stage that drops more stops the run; 1 never does


class Settings(Rules):
    """A whole run."""

    collect: CollectSettings = CollectSettings()
    web: WebSettings = WebSettings()
    fetch: FetchSettings = FetchSettings()
    score: ScoreSettings = ScoreSettings()
    select: SelectSettings = SelectSettings()
    pack: PackSettings = PackSettings()
    report: ReportSettings = ReportSettings()
    engine: EngineSettings = EngineSettings()
    demo: DemoSettings | None = Field(None, description="serve a generated web on loopback and crawl it")

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        wants_scores = [rule.rule for rule in self.select.rules if rule.needs_scores]
        if wants_scores and not self.score.enabled:
            raise ValueError(
                f"select.rules has a {wants_scores[0]} rule, but score.model = none measures nothing: "
                "name a model or remove the rule"
            )
        if not self.collect.all_sources() and self.demo is None:
            raise ValueError("collect has no source: give collect.crawl, collect.warc, collect.tables or collect.adopt")
        return self


def shipped_configs() -> Path:
    """The folder of the configurations that come with the package: inside the wheel, or the checkout's own."""
    inside = Path(str(importlib.resources.files("pipeline"))) / "configs"
    return inside if inside.is_dir() else inside.parent.parent / "configs"


def find_config(name: str) -> Path:
    """The file behind a path or a shipped name. Raises UsageError with the nearest name."""
    if os.path.isfile(name):
        return Path(name)
    shipped = {path.stem: path for path in shipped_configs().glob("*.yaml")}
    if name in shipped:
        return shipped[name]
    near = difflib.get_close_matches(name, shipped, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"no configuration {name!r}: neither a file nor one of {', '.join(sorted(shipped))}{hint}")


def load(name: str, overrides: Sequence[str] = (), engine: str | None = None) -> Settings:
    """The settings of a configuration with `section.key=value` overrides on top. Raises UsageError.

    Relative paths are made absolute: what lies in the working directory, or else beside the configuration's file.
    """
    path = find_config(name)
    data = read_yaml(path)
    if engine is not None:
        data = _merged(data, read_yaml(find_engine(engine)))
    for override in overrides:
        _set(data, override)
    return with_absolute_paths(parse(data, str(path)), (os.getcwd(), os.path.dirname(os.path.abspath(path))))


def with_absolute_paths(settings: R, folders: Sequence[str]) -> R:
    """The settings with each relative path as it is found from the first of `folders` that has it."""
    if isinstance(settings, OutsideSource):
        own = with_absolute_paths(settings.loaded, folders).model_dump(mode="json", include=set(settings.settings))
        return type(settings).model_validate({"source": settings.source, **own})
    changed: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value, extra = getattr(settings, name), field.json_schema_extra
        if isinstance(value, Rules):
            changed[name] = with_absolute_paths(value, folders)
        elif isinstance(value, tuple) and all(isinstance(item, Rules) for item in value):
            changed[name] = tuple(with_absolute_paths(item, folders) for item in value)
        elif isinstance(extra, dict) and extra.get("path"):
            changed[name] = (
                [_absolute(p, folders) for p in value] if isinstance(value, list) else _absolute(value, folders)
            )
    changed = {name: value for name, value in changed.items() if value != getattr(settings, name)}
    return settings.model_copy(update=changed) if changed else settings


def _absolute(path: str | None, folders: Sequence[str]) -> str | None:
    """A path that is found nowhere stays as it was given: it may be a name, and a message should show it so."""
    if path and not os.path.isabs(path) and "://" not in path:
        for whole in (os.path.join(folder, path) for folder in folders):
            if storage.exists(whole) or storage.glob_files(whole):
                return os.path.normpath(whole)
    return path


def load_run(run: str, overrides: Sequence[str] = ()) -> Settings:
    """The settings with which a run directory was made. Raises UsageError."""
    path = run_dir.settings_file(run)
    data = read_yaml(path)
    for override in overrides:
        _set(data, override)
    return with_absolute_paths(parse(data, path), (os.getcwd(),))


def find_engine(name: str) -> Path:
    folder = shipped_configs() / "engines"
    path = Path(name) if os.path.isfile(name) else folder / f"{name}.yaml"
    if not os.path.isfile(path):
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise UsageError(f"--engine {name}: no such profile; there are {known}")
    return path


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The sections of a YAML file, wherever it lies. Raises UsageError."""
    try:
        data = yaml.safe_load(storage.read_text(str(path)))
    except (storage.StorageError, UnicodeDecodeError) as error:  # before YAML_ERRORS: it is a ValueError too
        raise UsageError(f"{path}: cannot be read: {error}") from error
    except YAML_ERRORS as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: expected sections such as 'collect:', found {type(data).__name__}")
    return data


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merged(out[key], value) if both else value
    return out


def _set(data: dict[str, Any], override: str) -> None:
    """Apply one `a.b=c`; list items by number. The value is read as YAML."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip("."):
        raise UsageError(f"--set {override}: expected section.key=value")
    try:
        value = yaml.safe_load(text)
    except YAML_ERRORS as error:
        why = " ".join(str(error).split())
        raise UsageError(f"--set {override}: the value is not valid YAML: {why}") from error
    *path, last = key.split(".")
    node: Any = data
    for name in path:
        node = _step_into(node, name, override)
    if isinstance(node, list):
        node[_index(node, last, override)] = value
    else:
        node[last] = value


def _step_into(node: Any, name: str, override: str) -> Any:
    if isinstance(node, list):
        inner = node[_index(node, name, override)]
    elif node.get(name) is None:
        inner = node[name] = {}
    else:
        inner = node[name]
    if not isinstance(inner, dict | list):
        raise UsageError(f"--set {override}: {name} is a plain value, it has no keys")
    return inner


def _index(items: list[Any], name: str, override: str) -> int:
    if not name.isdecimal() or int(name) >= len(items):
        raise UsageError(f"--set {override}: {name!r} is not an index of a list of {len(items)}")
    return int(name)


def parse(data: dict[str, Any], source: str) -> Settings:
    """Strict settings from plain data. Raises UsageError naming source, key, value and remedy, one a line."""
    try:
        text = json.dumps(data, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # a key that is no text; a value that holds itself
        raise UsageError(f"{source}: {error}; expected names as keys, and plain values") from error
    try:
        return Settings.model_validate_json(text)
    except ValidationError as error:
        lines = [_explain(source, dict(e)) for e in error.errors()]
        raise UsageError("\n".join(dict.fromkeys(lines))) from error


def _explain(source: str, error: dict[str, Any]) -> str:
    path = [str(part) for part in error["loc"] if part != OUTSIDE]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        prefix = "".join(f"{part}." for part in path[:-1])
        return f"{source}: unknown key {key}{nearest(path[-1], _names_beside(path), prefix)}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if not path:
        return f"{source}: {message}"
    return f"{source}: {key} = {_shown(error.get('input'))}: {message.replace('input should be', 'expected')}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _names_beside(path: Sequence[str]) -> list[str]:
    """The valid names beside the unknown key `path`: of a rule those of that rule, not of all rules."""
    models: list[type[BaseModel]] = [Settings]
    for part in path[:-1]:
        if part in built_in() and built_in()[part] in models:
            models = [built_in()[part]]
            continue
        inner = [_models_of(m.model_fields[part].annotation) for m in models if part in m.model_fields]
        models = [m for found in inner for m in found] or models
    return [name for model in models for name in model.model_fields if name != "rule"]


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models_of(part)]


def content(settings: BaseModel) -> dict[str, Any]:
    """The settings that change a row's content: all but the operational ones, recursively."""
    out: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("operational"):
            continue
        value = getattr(settings, name)
        out[name] = content(value) if isinstance(value, BaseModel) else plain(value)
    return out


def plain(value: Any) -> Any:
    """A settings value as JSON-like data."""
    if isinstance(value, BaseModel):
        return content(value)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(v) for v in value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return value


def resolved(settings: Settings) -> Settings:
    """The settings with `{pairmill}` in paths replaced by the folder in which the packages are installed."""
    root = str(Path(str(importlib.resources.files("pipeline"))).parent)
    score = settings.score.model_copy(update={"model": settings.score.model.replace("{pairmill}", root)})
    return settings.model_copy(update={"score": score})


def as_yaml(settings: Settings) -> str:
    return yaml.safe_dump(json.loads(settings.model_dump_json()), sort_keys=False, allow_unicode=True)


def schema() -> dict[str, Any]:
    """The JSON schema of the configuration: editors complete and check it."""
    return Settings.model_json_schema()
