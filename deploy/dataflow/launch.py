"""What the flex template runs: builds the one job of one stage of a run that is under way.

A template launches one job, a run is several with decisions between. So the template does what is long and can go on
where it stopped, `fetch` or `score`; the next `pairmill run` on the same run directory, from any machine, finds the
parts that the job committed, finishes the stage and goes on. The configuration is the run's own `run.yaml`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import EngineSettings, Settings, load
from pipeline.context import Context
from pipeline.engines.engine import Engine
from pipeline.errors import PairmillError, UsageError
from pipeline.manifest import Manifests
from pipeline.run import run_stages
from pipeline.stages import STAGE_NAMES
from pipeline.stages.fetch import make_plan
from pipeline.ui.progress import Progress
from transforms import storage
from transforms.coordination.fatal import FatalError
from transforms.rounds import rounds_of

STAGES = ("fetch", "score")
# The launcher's name of an option, and ours: they are checked before any work.
OURS = {
    "project": "project",
    "region": "region",
    "temp_location": "temp_location",
    "sdk_container_image": "image",
    "service_account_email": "service_account",
    "network": "network",
    "subnetwork": "subnetwork",
}


def main(words: Sequence[str]) -> int:
    args, options = parser().parse_known_args(words)
    try:
        launch(args, options)
    except (PairmillError, FatalError) as error:
        print(f"pairmill: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 3)
    return 0


def parser() -> argparse.ArgumentParser:
    """What metadata.json lists, and what the launcher itself adds; it is given more, which goes to Beam."""
    parser = argparse.ArgumentParser(prog="launch.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--stage", required=True, choices=STAGES)
    parser.add_argument("--engine", default="dataflow-cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runner", help=argparse.SUPPRESS)  # the profile names it
    for name in OURS:
        parser.add_argument(f"--{name}", default="")
    return parser


def launch(args: argparse.Namespace, options: Sequence[str]) -> None:
    """Build the job. Raises UsageError where the run is not as far as that."""
    run = storage.absolute(args.run_dir)
    settings = settings_of(run, args)
    check_ready(run, args.stage)
    if args.stage == "fetch":
        plan_here(run, settings)
    run_stages(settings, run, last=args.stage, options=tuple(options), keep_settings=True)


def settings_of(run: str, args: argparse.Namespace) -> Settings:
    """The run's own settings on the engine of the template. Raises UsageError."""
    path = storage.join(run, "run.yaml")
    if not storage.exists(path):
        raise UsageError(
            f"--run_dir {run}: no run directory (no run.yaml in it); begin it with pairmill run --to collect"
        )
    given = [f"engine.dataflow.{ours}={getattr(args, name)}" for name, ours in OURS.items() if getattr(args, name)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "run.yaml")
        copy.write_bytes(storage.read_bytes(path))
        return load(str(copy), [*given, *args.set], args.engine)


def check_ready(run: str, stage: str) -> None:
    """Raises UsageError where a stage before is missing: it would need a job of its own."""
    for before in STAGE_NAMES[: STAGE_NAMES.index(stage)]:
        if Manifests(run).read(before) is None:
            raise UsageError(
                f"--stage {stage}: {before} of {run} is not finished: pairmill run CONFIG --run-dir {run} --to {before}"
            )


def plan_here(run: str, settings: Settings) -> None:
    """Who fetches what is a small pipeline of its own: it runs in the launcher, once."""
    with Progress() as progress, Engine(EngineSettings(), (), run) as engine:
        context = Context(run, "main", settings, engine, progress)
        make_plan(context, rounds_of(run)[-1], context.finished("collect")["counts"]["candidates"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
