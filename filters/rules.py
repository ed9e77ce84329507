"""The base of every group of settings: strict, frozen, compared by value."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

IS_PATH: dict[str, JsonValue] = {"path": True}  # what marks a field that holds paths


class Rules(BaseModel):
    """Settings of one judgement or stage. Unknown keys and wrong types are refused; instances do not change."""

    # Defaults are validated too: 30 and 30.0 must not be two fingerprints of one setting.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)


def operational(default: Any = ..., *, is_path: bool = False, **constraints: Any) -> Any:
    """A setting that changes no row's content (time-outs, concurrency, addresses): it stays out of fingerprints.

    `is_path`: of a file, folder or pattern, or a list of them; relative ones are made absolute when they are given.
    """
    extra: dict[str, JsonValue] = {"operational": True, **(IS_PATH if is_path else {})}
    return Field(default, json_schema_extra=extra, **constraints)
