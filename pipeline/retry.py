"""`pairmill retry` and `pairmill refresh`: a finished fetch is asked again, in part, and what follows is done anew."""

from pipeline import config
from pipeline.errors import UsageError
from pipeline.locks import only_one
from pipeline.manifest import Manifests
from pipeline.run import run_stages
from pipeline.stages import STAGES
from pipeline.ui.progress import Progress
from transforms import rounds, storage
from transforms.rounds import Request


def ask_again(run: str, request: Request, overrides: list[str], options: tuple[str, ...] = ()) -> None:
    """Add a round to `images/`, or go on with one that was interrupted; then do again what was done behind fetch.

    Raises UsageError before any work.
    """
    run = storage.absolute(run)
    settings = config.load_run(run, overrides)
    last = last_done(run)
    with only_one(run, (0, 1)):
        open_round(run, request)
    with Progress() as progress:
        run_stages(settings, run, last=last, options=options, progress=progress, keep_settings=True)


def open_round(run: str, request: Request) -> None:
    """Begin the next round. The manifest of fetch goes first: until the round is done, fetch is not."""
    manifests = Manifests(run)
    number = rounds.rounds_of(run)[-1]
    if manifests.read("fetch") is not None:
        manifests.withdraw("fetch")
        rounds.publish_request(run, number + 1, request)
    elif number == rounds.FIRST:
        raise UsageError(f"{run}: fetch is not finished; finish it with `pairmill run` before asking again")
    elif (begun := rounds.read_request(run, number)) != request:
        raise UsageError(f"{run}: round {number} is not finished, and asks for something else ({told(begun)}); "
                         "finish it first, with the same command or `pairmill run`")  # fmt: skip


def told(request: Request | None) -> str:
    assert request is not None
    return f"{request.kind} --reason {','.join(request.reasons)}" if request.reasons else request.kind


def last_done(run: str) -> str:
    """The last stage that the run's main selection has seen, so that what was done is done again."""
    manifests = Manifests(run)
    done = [stage.name for stage in STAGES if manifests.started(stage.label("main")) is not None]
    return done[-1] if done and done[-1] != "collect" else "fetch"
