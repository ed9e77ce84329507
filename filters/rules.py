"""The base of every group of settings: strict, frozen, compared by value."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Rules(BaseModel):
    """Settings of one judgement or stage. Unknown keys and wrong types are refused; instances do not change."""

    # Defaults are validated too: 30 and 30.0 must not be two fingerprints of one setting.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)


def operational(default: Any = ..., **constraints: Any) -> Any:
    """A setting that changes no row's content (time-outs, concurrency, addresses): it stays out of fingerprints."""
    return Field(default, json_schema_extra={"operational": True}, **constraints)
