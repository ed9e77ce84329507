"""Settings of the `select` section: an ordered list of rules, each named by its `rule` key."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from filters.language import Code
from filters.rules import Rules
from transforms.outside import validated
from transforms.select.rules.base import Rule
from transforms.select.rules.caption import CaptionStep
from transforms.select.rules.caption_repetition import RepetitionStep
from transforms.select.rules.contact import ContactStep
from transforms.select.rules.exact_duplicate import ExactDuplicateStep
from transforms.select.rules.language import LanguageStep
from transforms.select.rules.near_duplicate import NearDuplicateStep
from transforms.select.rules.registry import built_in, rule_class
from transforms.select.rules.score import ScoreStep
from transforms.select.rules.size import SizeStep
from transforms.select.rules.user import UserStep

__all__ = [  # rules that other code makes by hand; a new one need not be listed
    "CaptionStep", "ContactStep", "ExactDuplicateStep", "LanguageStep", "NearDuplicateStep", "RepetitionStep",
    "ScoreStep", "SelectSettings", "SizeStep", "Step", "UserStep",
]  # fmt: skip

OUTSIDE = "outside"  # the branch of every name that is not one of the package's rules
OUTSIDE_SCHEMA = {
    "type": "object",
    "title": "A rule of your own",
    "description": "`module:Class`, a class derived from one of transforms/select/rules/base.py; its fields beside it.",
    "properties": {"rule": {"type": "string", "pattern": r"^[\w.]+:\w+$"}},
    "required": ["rule"],
}


def _branch(value: Any) -> str:
    """Which alternative of `Step` a value belongs to: a rule of the package by its name, or OUTSIDE."""
    name = value.get("rule") if isinstance(value, dict) else getattr(value, "rule", None)
    return name if isinstance(name, str) and name in built_in() else OUTSIDE


def _outside_rule(value: Any, info: ValidationInfo) -> Rule:
    """A rule whose class a configuration names by `module:Class`. Raises ValueError saying what to do."""
    if isinstance(value, Rule):
        return value
    name = value.get("rule") if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise ValueError(f"a rule needs its name: rule: one of {', '.join(built_in())}, or module:Class")
    kind = rule_class(name)
    return validated(kind, name, value) if info.mode == "json" else kind.model_validate(value)


_OutsideRule = Annotated[Any, PlainValidator(_outside_rule), WithJsonSchema(OUTSIDE_SCHEMA), Tag(OUTSIDE)]
_ALTERNATIVES: Any = [*(Annotated[kind, Tag(name)] for name, kind in built_in().items()), _OutsideRule]
if TYPE_CHECKING:  # a checker cannot follow alternatives that are found at run time
    Step = Rule
else:
    Step = Annotated[reduce(or_, _ALTERNATIVES), Discriminator(_branch)]

DEFAULT_STEPS: tuple[Rule, ...] = (CaptionStep(), ContactStep(), ExactDuplicateStep(), RepetitionStep())


class SelectSettings(Rules):
    """What is kept, in the order of the rules: the first rule that drops a pair names the reason."""

    rules: tuple[Step, ...] = DEFAULT_STEPS  # the rules below, in the order in which they judge
    max_captions: int = Field(4, ge=1)  # of a kept pair; the first one becomes the .txt
    # Languages (ISO 639-1) whose captions go first where scores do not decide.
    # run: those that rule `language` keeps; without one, the most frequent, and those with more than half its captions.
    # How sure a caption must be of its language is said by that rule's min_probability.
    prefer_languages: tuple[Code, ...] | Literal["run"] = "run"

    @model_validator(mode="after")
    def _fit_together(self) -> "SelectSettings":
        for rule in self.rules:
            rule.check_beside(self.rules)
        return self

    def labels(self) -> list[str]:
        """A step's name for each rule: the rule's own, numbered from its second use on."""
        seen: dict[str, int] = {}
        labels = []
        for step in self.rules:
            seen[step.rule] = seen.get(step.rule, 0) + 1
            labels.append(step.rule if seen[step.rule] == 1 else f"{step.rule}_{seen[step.rule]}")
        return labels
