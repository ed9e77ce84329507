"""Dataflow without the cloud: what is refused before any work, and what the job of each stage holds."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms.core import Flatten, GroupByKey
from helpers.command import demo_words

from pipeline import stages
from pipeline.config import load, resolved
from pipeline.context import Context
from pipeline.engines.dataflow import DataflowSettings, check_dataflow, dataflow_options, job_name
from pipeline.engines.engine import Engine
from pipeline.errors import UsageError
from pipeline.stages.fetch import make_plan
from pipeline.ui.progress import Progress
from transforms import storage
from transforms.coders import RecordCoder
from transforms.rounds import FIRST

SOUND = {
    "project": "p",
    "region": "europe-west1",
    "temp_location": "gs://b/tmp",
    "image": "example/pairmill:1",
}
LIMIT_BYTES = 1 << 20  # a tenth of what the service takes
ACCELERATOR = "beam:resources:accelerator:v1"
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"WEBPVP8")


@pytest.mark.parametrize(("change", "run", "words"), [
    ({"project": ""}, "gs://b/r", "engine.dataflow.project is empty"),
    ({"region": ""}, "gs://b/r", "engine.dataflow.region is empty"),
    ({"image": ""}, "gs://b/r", "engine.dataflow.image is empty"),
    ({"temp_location": "/tmp"}, "gs://b/r", "expected gs://BUCKET/FOLDER"),
    ({}, "/data/run", "Dataflow's workers cannot see it"),
    ({}, "s3://b/r", "give gs://BUCKET/FOLDER"),
    ({"labels": {"Team": "x"}}, "gs://b/r", "Team=x is no label"),
])  # fmt: skip
def test_refused_before_any_work(change, run, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        check_dataflow(DataflowSettings(**(SOUND | change)), run)


def test_a_job_has_a_name_that_the_service_takes():
    names = {
        job_name(stage, run) for run in ("gs://b/Run_1", "gs://c/Run_1", "gs://b/run.2/") for stage in ("fetch", "pack")
    }
    assert len(names) == 6
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])", name) for name in names)


def test_every_option_is_one_that_beam_knows():
    settings = DataflowSettings(**SOUND, service_account="a@b", subnetwork="s", labels={"team": "x"})
    given = PipelineOptions(dataflow_options(settings, "fetch", "gs://b/r")).get_all_options(drop_default=True)
    assert given["labels"] == ["pairmill-stage=fetch", "team=x"]
    assert given["service_account_email"] == "a@b"
    assert given["sdk_location"] == "container"


class Recorder(Engine):
    """An engine that keeps the graphs instead of running them."""

    def __init__(self, settings) -> None:
        super().__init__(settings)
        self.graphs: dict[str, beam.Pipeline] = {}

    def run(self, build: Callable, stage: str = "pipeline", say: Callable = print, workers: int | None = None) -> None:
        graph = beam.Pipeline(runner="FnApiRunner")
        build(graph)
        self.graphs[stage] = graph


@pytest.fixture
def graphs(finished_copy) -> dict[str, beam.Pipeline]:
    """The graphs of the stages, as the stages themselves build them, with the profile of the GPU."""
    words = [f"engine.dataflow.{key}={value}" for key, value in SOUND.items()]
    settings = resolved(load("demo", words, "dataflow-gpu"))
    engine = Recorder(settings.engine)
    with Progress() as progress:
        context = Context(str(finished_copy), "main", settings, engine, progress, (0, 1))
        (finished_copy / "images/plan/0000.json").unlink()
        make_plan(context, FIRST, 100)
        for work in (stages.fetch.work, stages.score.work, stages.select.work, stages.pack.work, collect_only):
            try:
                work(context)
            except (storage.StorageError, FileNotFoundError, ValueError):
                continue  # what a stage does after its pipeline, with files that no pipeline wrote
    return engine.graphs


def collect_only(context: Context) -> bool:
    """Without the crawl: `pages/` is there."""
    units = stages.collect.input_units(context)
    transform = stages.collect.Collect(context.run, context.settings.collect, context.settings.web, ())
    context.engine.run(lambda p: p | beam.Create(units) | transform, "collect")
    return True


STAGES = ("collect", "plan", "fetch", "score", "select", "pack")


def crossing_types(graph: beam.Pipeline) -> set[object]:
    """The types of what crosses a shuffle, a Flatten or goes to workers as a side input."""
    found: set[object] = set()

    class Visitor(PipelineVisitor):
        def visit_transform(self, node) -> None:
            if isinstance(node.transform, GroupByKey | Flatten):
                found.update(parts_of(pcoll.element_type) for pcoll in node.inputs)
            found.update(parts_of(side.pvalue.element_type) for side in node.side_inputs)

    graph.visit(Visitor())
    return set().union(*found) if found else set()


def parts_of(hint: object) -> frozenset[object]:
    """The plain types inside a hint such as `tuple[int, Sample]`."""
    inner = getattr(hint, "tuple_types", None) or getattr(hint, "__args__", None)
    inner = inner or ([hint.inner_type] if hasattr(hint, "inner_type") else None)
    return frozenset().union(*(parts_of(part) for part in inner)) if inner else frozenset({hint})


@pytest.mark.parametrize("stage", STAGES)
def test_what_crosses_is_rows_and_keys(graphs, stage):
    """No record that crosses has room for a picture's bytes, and nothing crosses that is no record, text or number."""
    crossing = crossing_types(graphs[stage])
    rows = {hint for hint in crossing if hasattr(hint, "_fields")}
    assert not {name for row in rows for name in row._fields} & {"data", "body", "payload", "pixels", "content"}
    assert {type(hint) for hint in rows} <= {type}


def test_a_picture_that_crosses_would_be_seen():
    with_bytes = beam.Pipeline(runner="FnApiRunner")
    pictures = with_bytes | beam.Create([1]) | beam.Map(lambda n: (n, b"JPEG")).with_output_types(tuple[int, bytes])
    _ = pictures | beam.GroupByKey()
    assert bytes in crossing_types(with_bytes)


def proto_of(graph: beam.Pipeline):
    return graph.to_runner_api()


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_is_small_and_holds_nothing_of_a_main_module(graphs, stage):
    data = proto_of(graphs[stage]).SerializeToString()
    assert len(data) < LIMIT_BYTES
    assert b"__main__" not in data


def test_the_gpu_is_asked_for_by_the_scoring_alone(graphs):
    assert accelerated(graphs["score"]) == {"ScoreParts"}
    assert all(not accelerated(graphs[stage]) for stage in STAGES if stage != "score")


def accelerated(graph: beam.Pipeline) -> set[str]:
    """The outermost transforms whose environment asks for an accelerator."""
    components = proto_of(graph).components
    asking = {name for name, env in components.environments.items() if ACCELERATOR in env.resource_hints}
    names = {t.unique_name.split("/")[0] for t in components.transforms.values() if t.environment_id in asking}
    return names - {""}


def test_no_bytes_of_a_picture_are_ever_encoded(call, finished_copy, monkeypatch):
    """What crosses is encoded, what is fused is not: nothing that looks like a picture goes through the coder."""
    seen: list[bytes] = []
    encode = RecordCoder.encode
    monkeypatch.setattr(RecordCoder, "encode", lambda self, value: seen.append(encode(self, value)) or seen[-1])
    for name in ("fetch", "score", "select.main", "pack.main"):
        (finished_copy / f"manifest/{name}.json").unlink()
    for part in (finished_copy / "images").glob("0000-00001-*.parquet"):
        part.unlink()
    outcome = call(*demo_words(finished_copy))
    assert outcome.code == 0, outcome.err
    assert len(seen) > 100
    assert not any(magic in data for data in seen for magic in PICTURES)


def test_the_images_have_the_beam_that_is_pinned_here(root):
    text = (root / "deploy/dataflow/Dockerfile").read_text()
    assert f"ARG BASE=apache/beam_python3.11_sdk:{version('apache-beam')}\n" in text
    assert re.search(
        rf"^apache-beam=={re.escape(version('apache-beam'))}$", (root / "constraints.txt").read_text(), re.MULTILINE
    )


def test_the_template_is_made_as_far_as_it_goes_without_the_cloud(root, tmp_path):
    words = [sys.executable, root / "deploy/dataflow/template.py", "--out", tmp_path]
    outcome = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=110, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "build context, template.json and 2 profiles are sound" in outcome.stdout
    assert "docker build" in outcome.stdout
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert {p["name"] for p in metadata["parameters"]} >= {"run_dir", "stage"}
    assert list(tmp_path.glob("pairmill-*.whl"))
