"""Asks for the rows of a task part by part: parts begin in order and overlap, each is committed whole. No Beam.

A part ends with its slowest host, and one row in twenty on the web ends with a deadline: were each part to wait for
the one before, most of what may be under way would be idle. So the next ones begin meanwhile.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from filters.url import host_of
from transforms.coordination.fatal import FatalError

ROWS_BEGUN = 2_048  # and without an outcome; most of them wait for their host
MAX_LOCAL_SHARE = 0.2  # of a part: beyond it the network is broken, below it a few names are odd
MAX_ODD_SHARE = 0.05  # of a part: above it the network may be broken, and gets time to come back
AGAIN_AT_ONCE = 64  # requests for what failed on our side: a network in trouble is not asked everything at once
# Before asking again what failed on our side, in seconds; for a few odd names in a part only the first two.
LOCAL_PAUSES_S = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
THREADS = 3  # that read plans and stored ranges and commit parts

Row = TypeVar("Row")
Outcome = TypeVar("Outcome")


class NetworkTrouble(FatalError):
    """Our own network or resolver fails: nothing that was asked is to blame."""


class TaskResult(NamedTuple):
    """What one task did, this time."""

    parts: int
    parts_done_before: int


class Part(NamedTuple):
    """The rows of a plan that are committed together."""

    name: str  # the stem of its files
    rows: list[Any]


class LocalFailure(NamedTuple):
    """A request that failed for a reason of ours."""

    url: str
    reason: str


class PartsRun(ABC, Generic[Row, Outcome]):
    """One attempt at a task. What is asked, and how a part is committed, its subclasses say.

    Everything that blocks runs in `threads`: a store that stalls must not end the requests that are under way.
    """

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        parts_at_once: int,
        local_pauses_s: Sequence[float],
        may_commit: Callable[[], object],
    ) -> None:
        """`may_commit` is called before a part is committed; it raises where another attempt has the task by now."""
        self.rows_done = 0  # of the task: with an outcome, or in parts that were committed before
        self._threads, self._pauses_s, self._may_commit = threads, local_pauses_s, may_commit
        self._open = asyncio.Semaphore(parts_at_once)
        self._begun = asyncio.Semaphore(ROWS_BEGUN)
        self._again = asyncio.Semaphore(AGAIN_AT_ONCE)
        self._calm = asyncio.Event()
        self._calm.set()
        self._troubled = 0  # parts that give the network time to come back

    @abstractmethod
    def is_committed(self, part: Part) -> bool:
        """Whether a part needs no asking. Blocks."""

    @abstractmethod
    def space(self) -> AbstractContextManager[Any]:
        """Where the outcomes of one part are kept until it is committed."""

    @abstractmethod
    async def ask(self, row: Row, space: Any) -> Outcome:
        """The outcome of one row. Expected failures are outcomes."""

    @abstractmethod
    def local_failure(self, outcome: Outcome) -> LocalFailure | None:
        """Whether an outcome is to be blamed on our own network or resolver."""

    @abstractmethod
    def commit(self, part: Part, outcomes: list[Outcome], space: Any) -> None:
        """Make a part final; `outcomes` are in the order of its rows. Blocks."""

    async def run(self, parts: Iterator[Part]) -> TaskResult:
        """Ask for every part that is not committed. Raises NetworkTrouble, and what `commit` raises."""
        loop = asyncio.get_running_loop()
        done = count = 0
        try:
            async with asyncio.TaskGroup() as group:
                while (part := await loop.run_in_executor(self._threads, next, parts, None)) is not None:
                    count += 1
                    if await loop.run_in_executor(self._threads, self.is_committed, part):
                        done += 1
                        self.rows_done += len(part.rows)
                    else:
                        await self._begin(part, group)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the first has ended the others
        return TaskResult(count, done)

    async def _begin(self, part: Part, group: asyncio.TaskGroup) -> None:
        """Returns when all its rows are begun: what is under way follows the plan."""
        await self._open.acquire()
        space = self.space()
        begun: list[asyncio.Task[Outcome]] = []
        ended = group.create_task(self._end(part, begun, space, whole := asyncio.Event()))
        ended.add_done_callback(lambda _: self._open.release())
        for row in part.rows:
            await self._calm.wait()
            await self._begun.acquire()
            begun.append(group.create_task(self.ask(row, space)))
            begun[-1].add_done_callback(self._note_outcome)
        whole.set()

    def _note_outcome(self, _: asyncio.Task[Outcome]) -> None:
        self._begun.release()
        self.rows_done += 1

    async def _end(
        self, part: Part, begun: list[asyncio.Task[Outcome]], space: AbstractContextManager[Any], whole: asyncio.Event
    ) -> None:
        with space:
            await whole.wait()
            outcomes = await self._settled(part.rows, await asyncio.gather(*begun), space)
            self._may_commit()
            await asyncio.get_running_loop().run_in_executor(self._threads, self.commit, part, outcomes, space)

    async def _settled(self, rows: Sequence[Row], outcomes: list[Outcome], space: Any) -> list[Outcome]:
        """Every row's outcome. What failed for reasons of ours is asked again after a pause.

        Raises NetworkTrouble where too much of it fails still: such rows must not become final.
        """
        async with self._patience(outcomes) as pauses_s:
            for pause_s in pauses_s:
                ours = [index for index, outcome in enumerate(outcomes) if self.local_failure(outcome)]
                if not ours:
                    break
                await asyncio.sleep(pause_s)
                again = await asyncio.gather(*(self._ask_again(rows[index], space) for index in ours))
                for index, outcome in zip(ours, again, strict=True):
                    outcomes[index] = outcome
        failures = [failure for outcome in outcomes if (failure := self.local_failure(outcome))]
        if len(failures) > MAX_LOCAL_SHARE * len(outcomes):
            raise NetworkTrouble(
                f"{len(failures)} of {len(outcomes)} requests failed on our side ({failures[0].reason} for "
                f"{host_of(failures[0].url)}): check this machine's network and resolver, then run the same command "
                "again"
            )
        return outcomes

    async def _ask_again(self, row: Row, space: Any) -> Outcome:
        async with self._again:
            return await self.ask(row, space)

    @asynccontextmanager
    async def _patience(self, outcomes: Sequence[Outcome]) -> AsyncIterator[Sequence[float]]:
        """The pauses before asking again. Where the network looks broken all of them, and nothing new is begun
        meanwhile; a few names whose servers are broken must not hold everybody up."""
        if sum(self.local_failure(outcome) is not None for outcome in outcomes) <= MAX_ODD_SHARE * len(outcomes):
            yield self._pauses_s[:2]
            return
        self._troubled += 1
        self._calm.clear()
        try:
            yield self._pauses_s
        finally:
            self._troubled -= 1
            if not self._troubled:
                self._calm.set()
