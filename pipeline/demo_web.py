"""Serves the demo's web for as long as a run needs it. The run knows it as any other web: by seeds and addresses."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.manifest import Manifests


@contextlib.contextmanager
def serving_demo(c: Any, stages: Sequence[Any]) -> Iterator[Any]:
    """The context with the demo's seeds and addresses filled in; its server runs while pages or images are missing."""
    demo = c.settings.demo
    if demo is None:
        yield c
        return
    from pipeline.demo.server import serve_demo
    from pipeline.demo.web import connect_to, seeds

    missing = any(s.name in ("collect", "fetch") and Manifests(c.run).read(s.label(c.name)) is None for s in stages)
    if not missing or c.settings.web.connect_to:  # a server of the user's own is already named
        yield with_web(c, seeds(demo), c.settings.web.connect_to)
        return
    with serve_demo(demo, Path(c.run, "demo-access.log")) as address:
        yield with_web(c, seeds(demo), connect_to(demo, int(address.rpartition(":")[2])))


def with_web(c: Any, seeds: list[str], connect_to: dict[str, str]) -> Any:
    settings = c.settings
    crawl = settings.collect.crawl
    collect = settings.collect
    if crawl is not None:
        collect = collect.model_copy(update={"crawl": crawl.model_copy(update={"seeds": seeds})})
    web = settings.web.model_copy(update={"connect_to": connect_to})
    return c._replace(settings=settings.model_copy(update={"collect": collect, "web": web}))
