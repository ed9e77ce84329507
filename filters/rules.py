"""The base of every group of settings: strict, frozen, compared by value."""

from pydantic import BaseModel, ConfigDict


class Rules(BaseModel):
    """Settings of one judgement. Unknown keys and wrong types are refused; instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
