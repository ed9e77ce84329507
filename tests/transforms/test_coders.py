"""Every record crosses a GroupByKey with its type and value intact, in one process and between processes."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from helpers.samples import example_of

from transforms import records
from transforms.coders import RecordCoder


def described(values) -> list[str]:
    """Types and values all the way down: what a plain comparison of tuples would let pass."""
    return sorted(describe(value) for value in values)


def describe(value) -> str:
    if isinstance(value, tuple):
        return f"{type(value).__name__}({', '.join(map(describe, value))})"
    return f"{type(value).__name__}:{value!r}"


@pytest.mark.parametrize("mode", [["--direct_running_mode=in_memory"],
                                  ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]])  # fmt: skip
def test_records_keep_type_and_value_through_a_group_by_key(mode):
    expected = [describe(example_of(t)) for t in records.ALL for _ in range(2)]
    with beam.Pipeline("FnApiRunner", PipelineOptions(mode)) as pipeline:
        found = [pipeline | t.__name__ >> Through(t) for t in records.ALL]
        assert_that(found | beam.Flatten(), equal_to(expected))


class Through(beam.PTransform):
    """Two equal values of a record type, as keys and as values, through a GroupByKey."""

    def __init__(self, record: type):
        super().__init__()
        self.record = record

    def expand(self, pipeline):
        value = example_of(self.record)
        hint = tuple[self.record, self.record]  # type: ignore[name-defined]
        return (
            pipeline
            | beam.Create([0, 1])
            | beam.Map(lambda _, value: (value, value), value).with_output_types(hint)
            | beam.GroupByKey()
            | beam.FlatMapTuple(lambda key, values: [describe(v) for v in values if describe(v) == describe(key)])
            .with_output_types(str)
        )  # fmt: skip


@pytest.mark.parametrize("record", records.ALL)
def test_the_coder_is_deterministic_and_exact(record):
    coder, value = RecordCoder(record), example_of(record)
    assert coder.is_deterministic()
    assert coder.encode(value) == coder.encode(coder.decode(coder.encode(value)))
    assert describe(coder.decode(coder.encode(value))) == describe(value)
