"""The rules that look at one pair alone. Pure: a rule gives the pair with its surviving captions, or the drop."""

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from filters.caption import judge_caption
from filters.contact import judge_contact
from filters.image import judge_size
from filters.language import judge_language
from filters.reasons import Drop, Reason
from filters.score import judge_score
from transforms.records import Pair, ScoredCaption
from transforms.select.settings import (
    CaptionStep,
    ContactStep,
    LanguageStep,
    ScoreStep,
    SizeStep,
    UserStep,
)

CaptionJudge = Callable[[ScoredCaption, Pair], Drop | None]


def judge_pair(pair: Pair, step: Any) -> Pair | Drop:
    """Apply a rule to one pair. Captions fall one by one; the pair falls with its last, for the best one's reason."""
    if isinstance(step, SizeStep):
        return judge_size(pair.width, pair.height, step, pair.size_bytes) or pair
    return _judge_captions(pair, caption_judge(step))


def caption_judge(step: Any) -> CaptionJudge:
    """The judgement of one caption for a rule."""
    if isinstance(step, CaptionStep):
        return lambda scored, pair: judge_caption(scored.caption.text, step)
    if isinstance(step, ContactStep):
        return lambda scored, pair: judge_contact(scored.caption.text, step)
    if isinstance(step, LanguageStep):
        return lambda scored, pair: judge_language(scored.caption.language, scored.caption.probability, step)
    if isinstance(step, ScoreStep):
        return lambda scored, pair: judge_score(scored.similarity, scored.caption.language, step)
    assert isinstance(step, UserStep)
    function = load_function(step.function)
    return lambda scored, pair: _user_drop(function, scored, pair, step)


def _judge_captions(pair: Pair, judge: CaptionJudge) -> Pair | Drop:
    drops = [judge(scored, pair) for scored in pair.captions]
    left = tuple(s for s, drop in zip(pair.captions, drops, strict=True) if drop is None)
    if left:
        return pair if len(left) == len(pair.captions) else pair._replace(captions=left)
    return next((drop for drop in drops if drop is not None), Drop(Reason.CAPTION_EMPTY))


@lru_cache(maxsize=64)
def load_function(name: str) -> Callable[..., Any]:
    """The function behind `module:function`. Raises ValueError naming it where there is none."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"select.rules: the user rule {name!r} cannot be imported: {error}") from error


def _user_drop(function: Callable[..., Any], scored: ScoredCaption, pair: Pair, step: UserStep) -> Drop | None:
    """A user's judgement answers None to keep, or a text that says why not."""
    row = {"url": pair.url, "width": pair.width, "height": pair.height, "similarity": scored.similarity}
    row |= {"language": scored.caption.language, "page_url": scored.caption.page_url}
    answer = function(scored.caption.text, row, **step.settings)
    return None if answer is None else Drop(Reason.USER_RULE, None, f"{step.function}: {answer}")
