"""What crosses a shuffle in select, and what goes through the driver: keys and facts, never a pair or a text."""

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.pipeline_context import PipelineContext
from apache_beam.utils import proto_utils
from helpers.samples import pair

from filters.near_duplicate import Member
from transforms.coders import RecordCoder
from transforms.select.passes import PartUpdate, split_into_passes
from transforms.select.rules.base import GroupResult
from transforms.select.rules.caption_repetition import CaptionCount
from transforms.select.rules.exact_duplicate import HashSummary
from transforms.select.rules.near_duplicate import BandMember
from transforms.select.settings import (
    CaptionStep,
    ExactDuplicateStep,
    NearDuplicateStep,
    RepetitionStep,
    ScoreStep,
    SelectSettings,
)
from transforms.select.transform import Select

RULES = (CaptionStep(), ScoreStep(top_share=0.5), ExactDuplicateStep(), NearDuplicateStep(), RepetitionStep())
LEAN = {PartUpdate, HashSummary, BandMember, CaptionCount}


@pytest.fixture(scope="module")
def job():
    pipeline = beam.Pipeline("FnApiRunner")
    pipeline | beam.Create(["a"]) | Select("run", "main", SelectSettings(rules=RULES))
    return pipeline.to_runner_api()


def coder_of(job, collection):
    return PipelineContext(job.components).coders.get_by_id(job.components.pcollections[collection].coder_id)


def records_in(coder) -> set[type]:
    """The record types that a coder writes, however deep."""
    if isinstance(coder, RecordCoder):
        return {coder.record_type}
    return set().union(*(records_in(part) for part in coder._get_component_coders()))


def test_only_lean_records_are_shuffled(job):
    shuffles = [t for t in job.components.transforms.values()
                if t.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn]  # fmt: skip
    found = [records_in(coder_of(job, i)) for t in shuffles for i in t.inputs.values()]
    assert set().union(*found) == LEAN


def test_side_inputs_are_counts_and_a_cut(job):
    sides = []
    for transform in job.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = proto_utils.parse_Bytes(transform.spec.payload, beam_runner_api_pb2.ParDoPayload)
            sides += [coder_of(job, transform.inputs[tag]).to_type_hint() for tag in payload.side_inputs]
    assert sorted(map(str, sides)) == [str(GroupResult), "Tuple[<class 'int'>, <class 'int'>]"]


def test_a_part_tells_a_hot_image_and_a_hot_text_once():
    pairs = [pair(f"http://h.example/{n}.jpg") for n in range(500)]
    ((_, summary),) = ExactDuplicateStep().map_part("p", pairs)
    assert summary.count == 500
    assert RepetitionStep().map_part("p", pairs) == [(pairs[0].captions[0].caption.id, CaptionCount("p", 500))]


def test_what_stands_alone_is_told_to_nobody():
    assert list(ExactDuplicateStep().combine("ab", [HashSummary("p", 1, (1, 0.5, b"u"))])) == []
    assert list(RepetitionStep(max_images=5).combine(b"c", [CaptionCount("p", 3), CaptionCount("q", 2)])) == []
    near = BandMember("p", Member(bytes(32), b"u", (1.0, 0.5)))
    assert list(NearDuplicateStep().combine(b"band", [near])) == []


def test_a_pass_ends_at_each_rule_that_compares_pairs():
    passes = split_into_passes(SelectSettings(rules=RULES))
    assert [p.next_rule and p.next_rule[0] for p in passes] == [
        "score", "exact_duplicate", "near_duplicate", "caption_repetition", None]  # fmt: skip
    assert [len(p.local) for p in passes] == [1, 0, 0, 0, 0]
