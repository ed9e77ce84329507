"""Settings of the `select` section: an ordered list of rules, each named by its `rule` key."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from filters.caption import CaptionRules
from filters.contact import ContactRules
from filters.image import ImageRules
from filters.language import LanguageRules
from filters.near_duplicate import NearDuplicateRules
from filters.rules import Rules
from filters.score import ScoreRules


class CaptionStep(CaptionRules):
    """Length, words, boilerplate, file names and urls."""

    rule: Literal["caption"] = "caption"


class ContactStep(ContactRules):
    """E-mail addresses and telephone numbers."""

    rule: Literal["contact"] = "contact"


class LanguageStep(LanguageRules):
    """Which languages stay."""

    rule: Literal["language"] = "language"


class SizeStep(ImageRules):
    """Sides, aspect and bytes of the original image."""

    rule: Literal["size"] = "size"


class ScoreStep(ScoreRules):
    """A cut of CLIP similarity, or a top share."""

    rule: Literal["score"] = "score"


class ExactDuplicateStep(Rules):
    """Of images with the same bytes, the best pair stays."""

    rule: Literal["exact_duplicate"] = "exact_duplicate"


class NearDuplicateStep(NearDuplicateRules):
    """Of images within a Hamming radius, the best pair stays."""

    rule: Literal["near_duplicate"] = "near_duplicate"


class RepetitionStep(Rules):
    """A text on more than `max_images` images says nothing about any of them."""

    rule: Literal["caption_repetition"] = "caption_repetition"
    max_images: int = Field(10, ge=1)  # COYO-700M


class UserStep(Rules):
    """A judgement of the user's own: `module:function`, called with (caption text, row as a dict, settings)."""

    rule: Literal["user"] = "user"
    function: str = Field(pattern=r"^[\w.]+:\w+$")
    settings: dict[str, Any] = {}


Step = Annotated[
    CaptionStep
    | ContactStep
    | LanguageStep
    | SizeStep
    | ScoreStep
    | ExactDuplicateStep
    | NearDuplicateStep
    | RepetitionStep
    | UserStep,
    Field(discriminator="rule"),
]

DEFAULT_STEPS: tuple[Step, ...] = (CaptionStep(), ContactStep(), ExactDuplicateStep(), RepetitionStep())


class SelectSettings(Rules):
    """What is kept, in the order of the rules: the first rule that drops a pair names the reason."""

    rules: tuple[Step, ...] = DEFAULT_STEPS
    max_captions: int = Field(4, ge=1)  # of a kept pair; the first one becomes the .txt

    @model_validator(mode="after")
    def _steps_have_names(self) -> "SelectSettings":
        cuts = [r for r in self.rules if isinstance(r, ScoreStep) and r.top_share is not None]
        if len(cuts) > 1:
            raise ValueError("rules: more than one score rule has a top_share; keep one")
        return self

    def labels(self) -> list[str]:
        """A step's name for each rule: the rule's own, numbered from its second use on."""
        seen: dict[str, int] = {}
        labels = []
        for step in self.rules:
            seen[step.rule] = seen.get(step.rule, 0) + 1
            labels.append(step.rule if seen[step.rule] == 1 else f"{step.rule}_{seen[step.rule]}")
        return labels
