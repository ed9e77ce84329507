"""Judgements are applied in order, the first drop wins, every drop lands in one place."""

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from filters.reasons import Drop, Reason
from transforms.keep import Judgement, Keep


def odd(number, rules):
    return Drop(Reason.URL_INVALID, number) if number % 2 else None


def large(number, most):
    return Drop(Reason.URL_TOO_LONG, number) if number > most else None


def remember(number, step, drop):
    return f"{step} {drop.reason} {number}"


def test_the_first_drop_wins():
    with beam.Pipeline("FnApiRunner") as pipeline:
        kept, rejects = pipeline | beam.Create([1, 2, 8, 9]) | Keep(
            Judgement("odd", odd, (None,)), Judgement("large", large, (5,)),
            reject=remember, kept_type=int, reject_type=str,
        )  # fmt: skip
        assert_that(kept, equal_to([2]), label="kept")
        expected = ["odd url_invalid 1", "large url_too_long 8", "odd url_invalid 9"]
        assert_that(rejects, equal_to(expected), label="rejects")
