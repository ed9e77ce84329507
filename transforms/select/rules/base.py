"""What a rule of `select` is. Derive from one of these classes; the fields of the class are the rule's settings.

* `LocalRule` judges a pair alone; `TextRule` needs nothing but a caption, so that it can also run before the request.
* `CrossPairRule` compares pairs in groups: each part sums up its pairs (`map_part`), all summaries of one key meet
  (`combine`), and each part judges its pairs by the results about it (`apply`).
* `GlobalRule` is the same for a result that every part needs, such as a cut over all pairs.

A rule of the package has a file in this folder and a name: `rule: Literal["caption"] = "caption"`. A rule from outside
has no such line; the configuration names it by its class, `rule: "my_rules:TooRed"`. Rules are frozen pydantic models,
pickled to the workers, so that their module must be importable there. They drop with `Reason.USER_RULE` and a detail.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from pydantic import model_validator

from filters.reasons import Drop, Reason
from filters.rules import Rules
from transforms.records import Caption, Pair, ScoredCaption

Judge = Callable[[Pair], Pair | Drop]


class GroupResult(NamedTuple):
    """What was decided of a group, or of a pair in it. The rule decides what the fields hold."""

    key: bytes  # such as a sha256, a uid or a caption id
    value: float
    better: bytes = b""  # uid of the pair that stays


class Rule(Rules):
    """A rule's settings, and `rule`, its name."""

    needs_scores: ClassVar[bool] = False  # whether it makes no sense where nothing was scored

    rule: str

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_class(cls, data: Any) -> Any:
        """A rule of a user that is made in Python has the name by which a configuration would call it."""
        if isinstance(data, dict) and "rule" not in data and cls.model_fields["rule"].is_required():
            return data | {"rule": f"{cls.__module__}:{cls.__qualname__}"}
        return data

    def check(self) -> None:
        """Called before any work. Raises ValueError with a message for the user where the rule cannot work."""

    def check_beside(self, rules: "Sequence[Rule]") -> None:
        """Called when settings are read, with all rules. Raises ValueError where they do not fit together."""

    def module(self) -> str:
        """The user's module whose code the rule runs; "" for the rules of this package."""
        return self.rule.partition(":")[0] if ":" in self.rule else ""

    def compares_pairs(self) -> bool:
        """Whether the rule judges by other pairs, so that a pass over the parts must end before it."""
        return False


class LocalRule(Rule):
    """A rule over one pair. Give `judge_caption`, or `judge` where the rule is about the image."""

    def judge(self, pair: Pair) -> Pair | Drop:
        """The pair, perhaps with fewer captions, or why it is dropped.

        Captions are dropped one by one; the pair is dropped with its last, for the best caption's reason.
        """
        drops = [self.judge_caption(scored, pair) for scored in pair.captions]
        left = tuple(s for s, drop in zip(pair.captions, drops, strict=True) if drop is None)
        if left:
            return pair if len(left) == len(pair.captions) else pair._replace(captions=left)
        return next((drop for drop in drops if drop is not None), Drop(Reason.CAPTION_EMPTY))

    def judge_caption(self, scored: ScoredCaption, pair: Pair) -> Drop | None:
        """Why a caption of `pair` is dropped, or None."""
        raise NotImplementedError(f"{type(self).__name__} has neither judge nor judge_caption")


class TextRule(LocalRule):
    """A rule over a caption's text and language. `collect.judge_early` applies it before the request too."""

    @abstractmethod
    def judge_text(self, caption: Caption) -> Drop | None:
        """Why the caption is dropped, or None."""

    def judge_caption(self, scored: ScoredCaption, pair: Pair) -> Drop | None:
        return self.judge_text(scored.caption)


class CrossPairRule(Rule):
    """A rule that compares the pairs of a group, wherever they lie.

    Only keys and aggregates are shuffled. Sum up within the part: a group then has at most one member a part.
    """

    key_type: ClassVar[type]  # str, bytes or int of 64 bits
    aggregate_type: ClassVar[type]  # a NamedTuple of plain values, which holds the part; or a plain type

    def compares_pairs(self) -> bool:
        return True

    @abstractmethod
    def map_part(self, part: str, pairs: Sequence[Pair]) -> Iterable[tuple[Any, Any]]:
        """(key, partial aggregate) for the groups of `pairs`, those of a part that survive."""

    @abstractmethod
    def combine(self, key: Any, aggregates: Iterable[Any]) -> Iterable[tuple[str, GroupResult]]:
        """(part, result) for each part that must know of the group. `aggregates` come in any order."""

    @abstractmethod
    def apply(self, results: Sequence[GroupResult]) -> Judge:
        """The judgement of a pair by the results about its part, which come in any order."""


class GlobalRule(Rule):
    """A rule that compares all pairs with each other, with the same results for every part.

    `combine` works on one key, and knows of the others how much they hold. Only these counts (a few thousand keys at
    most) and the results (a few) go to every worker.
    """

    key_type: ClassVar[type]
    aggregate_type: ClassVar[type]

    def compares_pairs(self) -> bool:
        return True

    @abstractmethod
    def map_part(self, part: str, pairs: Sequence[Pair]) -> Iterable[tuple[Any, Any]]:
        """(key, partial aggregate) of the pairs of a part that survive."""

    @abstractmethod
    def count(self, aggregate: Any) -> int:
        """How much an aggregate holds."""

    @abstractmethod
    def combine(self, key: Any, aggregates: Iterable[Any], counts: Mapping[Any, int]) -> Iterable[GroupResult]:
        """Results for every part. `counts`: sums of `count` by key, of all keys."""

    @abstractmethod
    def apply(self, results: Sequence[GroupResult]) -> Judge:
        """The judgement of a pair by all results."""
