"""The event loop of a worker."""

import asyncio
import gc
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

# Thousands of requests under way are a hundred thousand objects, none of them in a cycle: looked through as often as
# Python does by itself, they take an eighth of the loop's time.
YOUNG_OBJECTS = 50_000


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine to its end, on uvloop where there is one."""
    with _rare_collections():
        if sys.platform == "win32":
            return asyncio.run(work)
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)


@contextmanager
def _rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
