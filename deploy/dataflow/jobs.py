"""The jobs of every stage as Dataflow would get them, without Dataflow, and what must not stand in them.

Used by `template.py` and by the tests. Needs none of Google's libraries; where they are installed, `--dry_run` goes
through Dataflow's own client as well.
"""

import base64
import bz2
import importlib.util
import json
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import coders
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.pipeline_context import PipelineContext
from apache_beam.transforms.environments import DockerEnvironment
from rich.console import Console

from pipeline.config import Settings
from pipeline.context import Context
from pipeline.engines.engine import Engine
from pipeline.stages import STAGES
from pipeline.stages.crawl import crawl_round
from pipeline.stages.fetch import make_plan
from pipeline.ui.progress import Progress
from transforms import run_dir
from transforms.coders import RecordCoder
from transforms.crawl.settings import CrawlSource
from transforms.pack.transform import LIST
from transforms.rounds import FIRST

LIMIT_BYTES = 10 << 20  # of a job's request; Dataflow refuses larger ones
BOUND_BYTES = 1 << 20  # ours
PAYLOAD_BYTES = 64 << 10  # of one function with its settings; a table or a model in it would be larger
RESHUFFLE = "beam:transform:reshuffle:v1"
SHUFFLES = ("beam:transform:group_by_key:v1", RESHUFFLE, "beam:transform:flatten:v1")
IMPULSE = "beam:transform:impulse:v1"
PAR_DO = "beam:transform:pardo:v1"
COMBINE = "beam:transform:combine_per_key:v1"
PRIMITIVES = (coders.VarIntCoder, coders.StrUtf8Coder, coders.FloatCoder, coders.BooleanCoder)
# Fields of records that hold a few bytes by their nature; no other field of a record that is shuffled may hold bytes.
HASHES = {"uid", "id", "phash", "hash", "rank", "key", "better", "best", "lost", "fallen"}
# Steps that are given bare bytes: ranks of 8 bytes, packed floats.
BARE = ("score/Combine/Group", "One list a bucket", "Into shards")
# Beam's own counting has no type for what it counts with: numbers, and a dict of them.
COUNTING = ("/Count", "/CombinePerKey", "/CombinePerKey(CountCombineFn)", "/CombinePerKey(CountCombineFn)/GroupByKey")


class Job(NamedTuple):
    """A stage's pipeline."""

    stage: str
    options: list[str]
    graph: api.Pipeline  # with every type that the pipeline declares
    proto: api.Pipeline  # as Dataflow's runner prepares it


class Recorder(Engine):
    """Takes a stage's pipelines down in place of running them."""

    jobs: dict[str, Job]

    def run(
        self, build: Callable[[beam.Pipeline], Any], stage: str = "pipeline", say: Any = print, workers: Any = None
    ) -> None:
        self.jobs[stage] = job_of(stage, build, self.pipeline_options(stage, 1), self.settings.dataflow.image)
        if stage == "pack":  # its stage goes on with what the pipeline would have left
            Path(run_dir.shards_folder(self._run, "main"), LIST).write_text("[]")


def recorded(settings: Settings, run: str, tasks: int, parts: int) -> dict[str, Job]:
    """The jobs of all stages of a run of so many tasks and parts, by the stages' own code."""
    engine = Recorder(settings.engine, ["--dry_run=True"], run)  # else Beam asks the bucket for its rules
    engine.jobs = {}
    with Progress(Console(quiet=True)) as progress:
        context = Context(run, "main", settings, engine, progress)
        crawl_round(context, settings.collect.crawl or CrawlSource(), 0, list(range(tasks)))
        touch(Path(run, "unplanned/candidates/part-00000.parquet"))
        make_plan(context._replace(run=f"{run}/unplanned"), FIRST, parts * 1000)
        for stage in STAGES:
            lay_out(Path(run), tasks, parts)
            stage.work(context)
    return engine.jobs


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()


def lay_out(run: Path, tasks: int, parts: int) -> None:
    """A run directory as far as building a pipeline looks at it: names and counts."""
    for folder in ("manifest", "images/plan", "selection/main", "candidates"):
        (run / folder).mkdir(parents=True, exist_ok=True)
    (run / "manifest/collect.json").write_text(json.dumps({"counts": {"candidates": parts * 1000}}))
    plan = {"of": tasks, "tasks": list(range(tasks)), "parts": parts + 1, "rows": parts * 1000}
    (run / "images/plan/0000.json").write_text(json.dumps(plan))
    for folder in ("images", "selection/main"):
        for part in range(parts):
            (run / folder / f"0000-{part % tasks:05d}-{part // tasks:05d}.parquet").touch()


def job_of(stage: str, build: Callable[[beam.Pipeline], Any], options: list[str], image: str) -> Job:
    """The steps of DataflowRunner.run_pipeline up to the request, in its order."""
    known = PipelineOptions(options)
    first = beam.Pipeline(runner="DataflowRunner", options=known)
    build(first)
    environment = DockerEnvironment.from_container_image(image)
    graph = first.to_runner_api(default_environment=environment)
    pipeline = beam.Pipeline.from_runner_api(first.to_runner_api(use_fake_coders=True), first.runner, known)
    pipeline.visit(DataflowRunner.side_input_visitor())
    first.runner._adjust_pipeline_for_dataflow_v2(pipeline)
    return Job(stage, options, graph, pipeline.to_runner_api(default_environment=environment))


def findings(job: Job) -> list[str]:
    """What is wrong with a job, a line each."""
    return [f"{job.stage}: {line}" for line in (*unfit_crossings(job.graph), *unfit_payloads(job), *unfit_size(job))]


def unfit_size(job: Job) -> Iterator[str]:
    size = job.proto.ByteSize()
    if size > BOUND_BYTES:
        yield f"the graph has {size} bytes, more than {BOUND_BYTES}; Dataflow's limit is {LIMIT_BYTES}"


def unfit_payloads(job: Job) -> Iterator[str]:
    for name, payload in payloads(job.proto):
        if b"__main__" in unpacked(payload):
            yield f"{name}: something of __main__ is pickled by value"
        if len(payload) > PAYLOAD_BYTES:
            yield f"{name}: {len(payload)} bytes of settings, more than {PAYLOAD_BYTES}"


def payloads(proto: api.Pipeline) -> Iterator[tuple[str, bytes]]:
    """The pickled functions and coders of a graph; not the elements of a Create."""
    for transform in proto.components.transforms.values():
        if transform.spec.urn == PAR_DO and not is_in(transform, creates(proto)):
            yield transform.unique_name, api.ParDoPayload.FromString(transform.spec.payload).do_fn.payload
        if transform.spec.urn == COMBINE:
            payload = api.CombinePayload.FromString(transform.spec.payload)
            yield transform.unique_name, payload.combine_fn.payload
    for name, coder in proto.components.coders.items():
        yield name, coder.spec.payload


def unpacked(payload: bytes) -> bytes:
    """Beam packs what it pickles: base64 of bz2. Anything else as it is."""
    try:
        return bz2.decompress(base64.b64decode(payload, validate=True))
    except (OSError, ValueError):
        return payload


def is_in(transform: api.PTransform, composites: Iterable[str]) -> bool:
    return any(transform.unique_name.startswith(f"{name}/") for name in composites)


def creates(graph: api.Pipeline) -> list[str]:
    """The names of the Creates: what they carry stands in the graph itself."""
    return [t.unique_name.rpartition("/")[0] for t in graph.components.transforms.values() if t.spec.urn == IMPULSE]


def wrappers(graph: api.Pipeline) -> list[str]:
    """Composites that shuffle what they are given in a wrapping of Beam's own: Reshuffle and CoGroupByKey."""
    transforms = graph.components.transforms.values()
    joins = [t.unique_name.rpartition("/")[0] for t in transforms if t.unique_name.endswith("/CoGroupByKeyImpl")]
    return [*joins, *(t.unique_name for t in transforms if t.spec.urn == RESHUFFLE)]


def unfit_crossings(graph: api.Pipeline) -> Iterator[str]:
    """Whatever crosses from worker to worker is a record without bytes but hashes, or a primitive; keys keep still."""
    context = PipelineContext(graph.components)
    for name, coder_id in sorted(set(crossings(graph))):
        coder = context.coders.get_by_id(coder_id)
        if isinstance(coder, coders.TupleCoder) and not coder.key_coder().is_deterministic():
            yield f"{name}: keys in {coder.key_coder()} are not the same bytes on every worker"
        value = coder.value_coder() if coder.is_kv_coder() else coder
        yield from (f"{name}: {trouble}" for trouble in unfit(value, name))


def crossings(graph: api.Pipeline) -> Iterator[tuple[str, str]]:
    """(step, coder id) of everything that a runner writes down: shuffles, Flattens, side inputs, other environments."""
    parts = graph.components
    made_in = {p: t.environment_id for t in parts.transforms.values() for p in t.outputs.values() if t.environment_id}
    given, wrapped = creates(graph), wrappers(graph)
    for transform in parts.transforms.values():
        if is_in(transform, given) or is_in(transform, wrapped):
            continue
        shuffles = transform.spec.urn in SHUFFLES or transform.unique_name in wrapped
        crossing = set(transform.inputs) if shuffles else set(side_inputs(transform))
        if transform.environment_id:
            crossing |= {
                n
                for n, p in transform.inputs.items()
                if made_in.get(p, transform.environment_id) != transform.environment_id
            }
        yield from ((transform.unique_name, parts.pcollections[transform.inputs[name]].coder_id) for name in crossing)
        if transform.spec.urn == COMBINE:
            yield transform.unique_name, api.CombinePayload.FromString(transform.spec.payload).accumulator_coder_id


def side_inputs(transform: api.PTransform) -> Iterable[str]:
    return api.ParDoPayload.FromString(transform.spec.payload).side_inputs if transform.spec.urn == PAR_DO else ()


def unfit(coder: coders.Coder, where: str) -> Iterator[str]:
    """Why what a coder encodes must not be shuffled."""
    if isinstance(coder, RecordCoder):
        yield from unfit_type(coder.record_type, "")
    elif isinstance(coder, coders.BytesCoder):
        if not where.endswith(BARE):
            yield "bare bytes are shuffled"
    elif isinstance(coder, coders.TupleCoder):
        for inner in coder.coders():
            yield from unfit(inner, where)
    elif isinstance(coder, coders.coders.ListLikeCoder):
        yield from unfit(coder.value_coder(), where)
    elif isinstance(coder, coders.MapCoder):
        yield from (*unfit(coder._key_coder, where), *unfit(coder._value_coder, where))
    elif not isinstance(coder, PRIMITIVES) and not where.endswith(COUNTING):
        yield f"no coder of ours, but {coder}: give the collection a type"


def unfit_type(kind: Any, field: str) -> Iterator[str]:
    """Why a value of a type, in a field of a record, must not be shuffled."""
    if kind is bytes:
        if field.rpartition(".")[2] not in HASHES:
            yield f"{field} holds bytes"
    elif typing.get_args(kind):
        for inner in typing.get_args(kind):
            if inner is not Ellipsis:
                yield from unfit_type(inner, field)
    elif hasattr(kind, "_fields"):
        for name, inner in typing.get_type_hints(kind).items():
            yield from unfit_type(inner, f"{kind.__name__}.{name}")
    elif not issubclass(kind, int | float | str | NoneType):
        yield f"{field or 'a value'} is a {kind}, whose size nobody knows"


def hinted(proto: api.Pipeline) -> dict[str, dict[str, bytes]]:
    """The resource hints of each step that has some."""
    environments = proto.components.environments
    return {
        t.unique_name: dict(environments[t.environment_id].resource_hints)
        for t in proto.components.transforms.values()
        if t.environment_id and environments[t.environment_id].resource_hints
    }


def images_of(proto: api.Pipeline) -> set[str]:
    """The container images of a graph's environments."""
    docker = common_urns.environments.DOCKER.urn
    found = [e for e in proto.components.environments.values() if e.urn == docker]
    return {api.DockerPayload.FromString(e.payload).container_image for e in found}


def has_client() -> bool:
    """Whether Dataflow's own client is installed."""
    try:
        return importlib.util.find_spec("google.cloud.dataflow") is not None
    except ModuleNotFoundError:
        return False
