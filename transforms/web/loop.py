"""The event loop of a worker, and the time in which it was served."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

# Thousands of requests under way are a hundred thousand objects, none of them in a cycle: looked through as often as
# Python does by itself, they take an eighth of the loop's time.
YOUNG_OBJECTS = 50_000
TICK_S = 0.05  # how often the loop shows that it is served, and how late a deadline may be noticed
# More than this since the last tick is lateness. Timers of a loop that is served come a millisecond or two late.
SERVED_S = 2 * TICK_S


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


class LoopClock:
    """Seconds in which an event loop was served: those in which it could have seen that an answer came.

    A machine that other processes keep busy, or a call that blocks, holds the loop up while servers answer. Deadlines
    by this clock do not run meanwhile: between two ticks it moves on by `SERVED_S` at most, however long that took.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.late_s = 0.0  # all the time in which the loop was not served
        self._loop = loop
        self._served_s = 0.0
        self._ticked_s = time.monotonic()
        self._deadlines: dict[asyncio.Timeout, float] = {}
        loop.call_later(TICK_S, self._tick)

    def now_s(self) -> float:
        return self._served_s + min(time.monotonic() - self._ticked_s, SERVED_S)

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        """Like `asyncio.timeout`, by this clock. Raises TimeoutError."""
        async with asyncio.timeout(None) as scope:
            self._deadlines[scope] = self.now_s() + seconds
            try:
                yield
            finally:
                del self._deadlines[scope]

    def _tick(self) -> None:
        now_s = time.monotonic()
        passed_s = now_s - self._ticked_s
        self._served_s += min(passed_s, SERVED_S)
        self.late_s += max(0.0, passed_s - SERVED_S)
        self._ticked_s = now_s
        for scope, deadline_s in self._deadlines.items():
            if deadline_s <= self._served_s and scope.when() is None:
                scope.reschedule(self._loop.time())
        self._loop.call_later(TICK_S, self._tick)


_clocks: "WeakKeyDictionary[asyncio.AbstractEventLoop, LoopClock]" = WeakKeyDictionary()


def loop_clock() -> LoopClock:
    """The clock of the running loop. It ticks until the loop is closed."""
    loop = asyncio.get_running_loop()
    clock = _clocks.get(loop)
    if clock is None:
        clock = _clocks[loop] = LoopClock(loop)
    return clock
