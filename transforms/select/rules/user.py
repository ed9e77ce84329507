"""Rule `user`: a plain function of the user's own."""

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from filters.reasons import Drop, Reason
from transforms.records import Pair, ScoredCaption
from transforms.select.rules.base import LocalRule


class UserStep(LocalRule):
    """A judgement of the user's own: `module:function`, called with (caption text, row as a dict, settings)."""

    rule: Literal["user"] = "user"
    function: str = Field(pattern=r"^[\w.]+:\w+$")  # `module:function`, on PYTHONPATH here and on the workers
    settings: dict[str, Any] = {}  # keyword arguments of the function

    def check(self) -> None:
        load_function(self.function)

    def module(self) -> str:
        return self.function.partition(":")[0]

    def judge_caption(self, scored: ScoredCaption, pair: Pair) -> Drop | None:
        """The function answers None to keep, or a text that says why not."""
        row = {"url": pair.url, "width": pair.width, "height": pair.height, "similarity": scored.similarity}
        row |= {"language": scored.caption.language, "page_url": scored.caption.page_url}
        answer = load_function(self.function)(scored.caption.text, row, **self.settings)
        return None if answer is None else Drop(Reason.USER_RULE, None, f"{self.function}: {answer}")


@lru_cache(maxsize=64)
def load_function(name: str) -> Callable[..., Any]:
    """The function behind `module:function`. Raises ValueError naming it where there is none."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"select.rules: the user rule {name!r} cannot be imported: {error}") from error
