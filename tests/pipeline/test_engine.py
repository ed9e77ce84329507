"""Runners: the local one without any download, what loses data refused, errors readable."""

import apache_beam as beam
import pytest

from pipeline.config import EngineSettings
from pipeline.engine import Engine
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
