"""`pairmill retry` and `pairmill refresh`: pages or images are asked again, in part; what follows is done anew."""

from collections.abc import Callable

from pipeline import config
from pipeline.config import Settings
from pipeline.errors import UsageError
from pipeline.locks import only_one
from pipeline.manifest import Manifests
from pipeline.run import run_stages
from pipeline.stages import STAGE_NAMES, STAGES
from pipeline.stages.crawl import is_over
from pipeline.ui.progress import Progress
from transforms import rounds, storage
from transforms.crawl.passes import Retry, publish_retry, retries_of, rounds_planned
from transforms.crawl.settings import CrawlSource
from transforms.rounds import Request


def ask_again(run: str, request: Request, overrides: list[str], options: tuple[str, ...] = ()) -> None:
    """Add a round to `images/`, or go on with one that was interrupted; then do again what was done behind fetch.

    Raises UsageError before any work.
    """
    run = storage.absolute(run)
    settings = config.load_run(run, overrides)
    run_again(run, settings, "fetch", lambda: open_round(run, request), options)


def ask_pages_again(run: str, reasons: tuple[str, ...], overrides: list[str], options: tuple[str, ...] = ()) -> None:
    """Add a pass to the crawl, or go on with one that was interrupted; then do again what was done behind collect.

    Only candidates that are new are fetched. Raises UsageError before any work.
    """
    run = storage.absolute(run)
    settings = config.load_run(run, overrides)
    crawl = settings.collect.crawl
    if crawl is None:
        raise UsageError(f"{run}: there was no crawl, so there are no pages to ask again; leave out --pages")
    run_again(run, settings, "collect", lambda: open_pass(run, reasons, crawl), options)


def run_again(run: str, settings: Settings, stage: str, reopen: Callable[[], None], options: tuple[str, ...]) -> None:
    """Reopen `stage`, then bring the run to where it was, at least to the end of that stage."""
    last = last_done(run, at_least=stage)  # before a manifest is withdrawn
    with only_one(run, (0, 1)):
        reopen()
    with Progress() as progress:
        run_stages(settings, run, last=last, options=options, progress=progress, keep_settings=True)


def open_pass(run: str, reasons: tuple[str, ...], source: CrawlSource) -> None:
    """Begin the next pass. The manifest of collect goes last: its digest is what there was before the pass."""
    manifests = Manifests(run)
    retries = retries_of(run)
    done = manifests.read("collect")
    if done is None and retries:  # begun, and interrupted
        if retries[-1].reasons != reasons:
            asked = ", ".join(retries[-1].reasons) or "the usual reasons"
            raise UsageError(f"{run}: pages are being asked again already, for {asked}; "
                             "finish that first, with the same command or `pairmill run`")  # fmt: skip
        return
    if done is None and not is_over(run, source):
        raise UsageError(f"{run}: the crawl is not finished; finish it with `pairmill run` before asking pages again")
    publish_retry(run, Retry(rounds_planned(run), reasons, done["outputs_digest"] if done else ""))
    manifests.withdraw("collect")


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
        raise UsageError(f"{run}: round {number} is not finished, and asks for something else ({words_of(begun)}); "
                         "finish it first, with the same command or `pairmill run`")  # fmt: skip


def words_of(request: Request | None) -> str:
    assert request is not None
    return f"{request.kind} --reason {','.join(request.reasons)}" if request.reasons else request.kind


def last_done(run: str, at_least: str) -> str:
    """The last stage that the run's main selection has seen, so that what was done is done again."""
    manifests = Manifests(run)
    done = [stage.name for stage in STAGES if manifests.started(stage.label("main")) is not None]
    return max((*done, at_least), key=STAGE_NAMES.index)
