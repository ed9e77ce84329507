"""Runners: the local one without any download, what loses data refused, errors readable."""

import os

import apache_beam as beam
import pytest

from pipeline.config import EngineSettings
from pipeline.engines.engine import Engine
from pipeline.errors import RunError, UsageError


@pytest.mark.parametrize(("runner", "options"), [
    ("FnApiRunner", ["--direct_running_mode=multi_threading"]), ("DaskRunner", []),
])  # fmt: skip
def test_what_loses_data_is_refused(runner, options):
    with pytest.raises(UsageError, match="is refused"):
        Engine(EngineSettings(runner=runner), options)


@pytest.mark.parametrize("runner", ["FnApiRunner", "DirectRunner"])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_local_runner_runs(tmp_path, runner, workers):
    def write(number, folder):
        (folder / str(number)).touch()

    engine = Engine(EngineSettings(runner=runner, workers=workers))
    engine.run(lambda p: p | beam.Create(range(5)) | beam.Reshuffle() | beam.Map(write, tmp_path))
    assert sorted(f.name for f in tmp_path.iterdir()) == list("01234")


def test_a_failure_is_one_line():
    def fail(number):
        raise ValueError(f"element {number} is bad")

    with pytest.raises(RunError, match=r"element 7 is bad") as caught:
        Engine(EngineSettings()).run(lambda p: p | beam.Create([7]) | beam.Map(fail))
    assert "\n" not in str(caught.value)


class WrittenDown(beam.PTransform):
    """Beam makes another error of what is raised while a transform is written down for a runner."""

    def expand(self, rows):
        return rows | beam.Map(str)

    def to_runner_api(self, context, has_parts=False):
        raise UsageError("score.model: there is no such model; name another")


def at_once(pipeline):
    raise UsageError("score.model: there is no such model; name another")


@pytest.mark.parametrize("build", [at_once, lambda p: p | beam.Create([1]) | WrittenDown()])
def test_a_usage_error_while_a_pipeline_is_made_stays_one(build, caplog):
    with pytest.raises(UsageError, match=r"^score\.model: there is no such model; name another$") as caught:
        Engine(EngineSettings()).run(build)
    assert caught.value.exit_code == 2
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(("size_bytes", "workers"), [(0, 1), (10, 1), (11, 2), (29, 3), (30, 3), (1000, 4)])
def test_little_to_read_starts_few_workers(tmp_path, size_bytes, workers):
    paths = [str(tmp_path / name) for name in "ab"]
    for path, size in zip(paths, (size_bytes // 3, size_bytes - size_bytes // 3), strict=True):
        with open(path, "wb") as file:
            file.write(b"x" * size)
    engine = Engine(EngineSettings(workers=4, bytes_per_worker=10))
    assert engine.workers_for(paths) == workers

    def note(number, folder):
        (folder / f"pid-{os.getpid()}").touch()

    engine.run(lambda p: p | beam.Create(range(50)) | beam.Reshuffle() | beam.Map(note, tmp_path), workers=workers)
    names = [path.name for path in tmp_path.glob("pid-*")]
    assert (names == [f"pid-{os.getpid()}"]) == (workers == 1)
