"""Serves the demo's web for as long as a run needs it. The run knows it as any other web: by seeds and addresses."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.context import Context
from pipeline.stages.base import Stage
from transforms import storage

ASKING = ("collect", "fetch")
LOG = "demo-access.log"


def with_seeds(c: Context) -> Context:
    """The context with the demo's seeds, where there is a demo and a crawl."""
    demo, crawl = c.settings.demo, c.settings.collect.crawl
    if demo is None or crawl is None:
        return c
    from pipeline.demo.web import seeds

    collect = c.settings.collect.model_copy(update={"crawl": crawl.model_copy(update={"seeds": seeds(demo)})})
    return c._replace(settings=c.settings.model_copy(update={"collect": collect}))


@contextlib.contextmanager
def serving_demo(c: Context, stages: Sequence[Stage], redo: str | None) -> Iterator[Context]:
    """The context with the address of the demo's server, which runs while pages or images are missing.

    Where `web.connect_to` is set already, a server of the user's own is meant, and none is started.
    """
    demo = c.settings.demo
    if demo is None or c.settings.web.connect_to or not (redo in ASKING or asks_the_web(c, stages)):
        yield c
        return
    from pipeline.demo.server import serve_demo
    from pipeline.demo.web import connect_to

    with access_log(c.run) as log, serve_demo(demo, log) as address:
        web = c.settings.web.model_copy(update={"connect_to": connect_to(demo, int(address.rpartition(":")[2]))})
        yield c._replace(settings=c.settings.model_copy(update={"web": web}))


@contextlib.contextmanager
def access_log(run: str) -> Iterator[Path]:
    """Where the server writes what it was asked: in the run directory; one in an object store gets it at the end."""
    log_path = storage.join(run, LOG)
    if not storage.is_remote(run):
        yield Path(log_path)
        return
    with tempfile.TemporaryDirectory(prefix="pairmill-") as folder:
        path = Path(folder, LOG)
        path.write_bytes(storage.read_bytes(log_path) if storage.exists(log_path) else b"")
        try:
            yield path
        finally:
            storage.publish(log_path, path.read_bytes())


def asks_the_web(c: Context, stages: Sequence[Stage]) -> bool:
    missing = (stage for stage in stages if c.manifests.read(stage.label(c.name)) is None)
    return any(stage.name in ASKING for stage in missing)
