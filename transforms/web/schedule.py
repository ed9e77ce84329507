"""When a host may be asked: so many at once, so far apart, and slower when it says so or slows down.

Starts are kept apart as the *server* sees them. A request on its way can be held up, so the gap is counted from the
moment the host begins to answer; where it takes longer than the gap to answer, the next start waits for two gaps.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime

from filters.reasons import Drop, Reason
from transforms.formats.http_headers import Headers, joined
from transforms.web.circuit import Circuit
from transforms.web.settings import Pace, WebSettings

Clock = Callable[[], float]  # seconds, monotonic

BACK_OFF = frozenset({429, 503})
MAX_IDLE_HOSTS = 10_000
_SMOOTHING = 0.3  # weight of the newest latency
_HOUR_S = 3600
_MAX_GUESS_S = 60.0  # of a wait that no Retry-After asks for
_FORGET_AFTER_S = 60.0  # longer than any gap
_ALONE = Pace(at_once=1, gap_s=0.0)


class StartGate:
    """One at a time passes, in the order of asking; who is urgent comes first."""

    def __init__(self) -> None:
        self.is_open = True
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, urgent: bool) -> None:
        if self.is_open:
            self.is_open = False
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if urgent else self._waiting.append)(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # it was given to us, and we are gone
            raise

    def release(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.is_open = True


class Host:
    """What is known of one host's patience. Where kinds of requests are mixed, the strictest pace holds for all."""

    def __init__(self, now: float, circuit: Circuit, asked_s: float = float("-inf")) -> None:
        self.circuit = circuit
        self.asked_s = asked_s  # when an earlier attempt may have asked last
        self.gate = StartGate()  # one request starts at a time
        self.changed = asyncio.Event()
        self.first_s = now
        self.pace: Pace | None = None
        self.running = 0
        self.connecting = 0  # of the running ones: begun without a distance to keep, and not sent yet
        self.latest: Turn | None = None  # the last that was sent
        self.hold_until_s = now
        self.refusals = 0  # answers 429 or 503 in a row
        self.latency_s = 0.0

    def tighten(self, pace: Pace) -> Pace:
        if self.pace is not None:
            pace = Pace(at_once=min(pace.at_once, self.pace.at_once), gap_s=max(pace.gap_s, self.pace.gap_s))
        self.pace = pace
        return pace

    def wait_s(self, now: float, pace: Pace, gap_s: float) -> float | None:
        """Seconds until the next start, 0 for now, None for as long as the others take."""
        if self.running >= pace.at_once or (gap_s and self.connecting):
            return None
        ready_s = self.hold_until_s
        clear_s = self.asked_s + gap_s if self.latest is None else self.latest.clear_s(gap_s)
        ready_s = max(ready_s, clear_s)
        return max(0.0, ready_s - now)

    def is_idle(self, now: float) -> bool:
        return not self.running and self.gate.is_open and self.wait_s(now, _ALONE, _FORGET_AFTER_S) == 0


class Turn:
    """One request's turn in the schedule. `drop` says why there is none."""

    def __init__(self, host: Host, clock: Clock) -> None:
        self.drop: Drop | None = None
        self.has_answer = False
        self.is_refused = False  # the answer is a 429 or 503
        self._is_counted = False
        self._host = host
        self._clock = clock
        self._begun_s = clock()
        self._holds_gate = True
        self._is_connecting = False
        self._sent_s: float | None = None
        self._answered_s: float | None = None

    def clear_s(self, gap_s: float) -> float:
        """When the next request may start after this one."""
        assert self._sent_s is not None
        late = self._sent_s + 2 * gap_s
        return late if self._answered_s is None else min(late, self._answered_s + gap_s)

    def begin(self, gap_s: float) -> None:
        self._begun_s = self._clock()
        if not gap_s:  # no distance to keep: the next one need not wait until this one is connected and sent
            self._is_connecting = True
            self._host.connecting += 1
            self.open_gate()

    def sent(self) -> None:
        """The request is on its way: the next one may begin to wait."""
        if self._sent_s is None:
            self._sent_s = self._clock()
            self._host.latest = self
            if self._is_connecting:
                self._is_connecting = False
                self._host.connecting -= 1
                self._host.changed.set()
            self.open_gate()

    def answered(self) -> None:
        """The host begins to answer. That it is slow counts at once, that it is fast when it has said what it says."""
        if self._answered_s is None:
            self._answered_s = self._clock()
            self.has_answer = True
            if self._latency_s() > self._host.latency_s:
                self._smooth()
            self._host.changed.set()

    def finish(self) -> None:
        """The request is over. One that was never sent counts as sent: an attempt to connect is one too.

        What came quickly and is no answer (a refused connection, a 429) says nothing of how fast the host serves.
        """
        self.sent()
        has_answer = self.has_answer and not self.is_refused
        if self._answered_s is None:
            self._answered_s = self._clock()
        if has_answer or self._latency_s() > self._host.latency_s:
            self._smooth()
        self.open_gate()
        self._host.changed.set()

    def open_gate(self) -> None:
        if self._holds_gate:
            self._holds_gate = False
            self._host.gate.release()

    def _latency_s(self) -> float:
        assert self._answered_s is not None
        return self._answered_s - self._begun_s

    def _smooth(self) -> None:
        """Each turn counts once."""
        if not self._is_counted:
            self._is_counted = True
            old, new = self._host.latency_s, self._latency_s()
            self._host.latency_s = new if not old else old + _SMOOTHING * (new - old)


class Schedule:
    """All hosts of one event loop. With `follows`, an attempt before this one may have asked any host just now."""

    def __init__(
        self,
        settings: WebSettings,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        follows: bool = False,
        ready: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._asked_s = clock() if follows else float("-inf")
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._hosts: dict[str, Host] = {}
        self._total = asyncio.Semaphore(settings.concurrency)
        self._ready = ready

    @asynccontextmanager
    async def turn(self, name: str, pace: Pace, urgent: bool = False) -> AsyncIterator[Turn]:
        """Wait for a turn; the request is made inside. Its `sent` must be called, or nobody else starts meanwhile."""
        host = self._host(name)
        await host.gate.acquire(urgent)
        turn = Turn(host, self._clock)
        try:
            turn.drop = self._judge_budget(host)
            if turn.drop is None:
                await self._wait(host, host.tighten(pace))
                turn.drop = self._judge_budget(host)
            if turn.drop is not None:  # nothing is asked: no slot is taken, and nothing is learnt of the host
                yield turn
                return
            async with self._total:
                if self._ready is not None:
                    await self._ready()
                host.running += 1
                turn.begin(self._gap_s(host, host.tighten(pace)))
                try:
                    yield turn
                finally:
                    host.running -= 1
                    turn.finish()
        finally:
            turn.open_gate()

    def _judge_budget(self, host: Host) -> Drop | None:
        if host.refusals >= self._settings.give_up_after:
            return Drop(Reason.HOST_BUDGET, host.refusals, "429 or 503 in a row")
        if self._clock() - host.first_s > self._settings.max_host_hours * _HOUR_S:
            return Drop(Reason.HOST_BUDGET, self._settings.max_host_hours, "hours")
        return host.circuit.judge(self._clock())

    def note_end(self, name: str, status: int | None, drop: Drop | None, turn: Turn) -> None:
        """Note how a request ended, before its turn does: the next in line may need no turn."""
        turn.is_refused = status in BACK_OFF
        self._host(name).circuit.note(status, drop, self._clock())

    def judge_answer(self, name: str, status: int | None, headers: Headers) -> bool:
        """Note what a host answered; whether the same request may be made again, after the wait that is noted too."""
        host = self._host(name)
        if status not in BACK_OFF:
            if status is not None:
                host.refusals = 0
            return False
        host.refusals += 1
        wait_s = retry_after_s(joined(headers, "retry-after"), self._wall_clock())
        if wait_s is None:
            wait_s = min(self._settings.backoff_s * 2 ** min(host.refusals - 1, 20), _MAX_GUESS_S)
        wait_s = min(wait_s, self._settings.max_backoff_s)
        host.hold_until_s = max(host.hold_until_s, self._clock() + wait_s)
        # A host that refuses everything is not asked everything three times.
        width = host.pace.at_once if host.pace else 1  # so many are refused in one breath
        return host.refusals <= self._settings.retries * width

    async def _wait(self, host: Host, pace: Pace) -> None:
        while (wait_s := host.wait_s(self._clock(), pace, self._gap_s(host, pace))) != 0:
            host.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await host.changed.wait()

    def _gap_s(self, host: Host, pace: Pace) -> float:
        if host.latency_s <= self._settings.slow_after_s:
            return pace.gap_s
        return max(pace.gap_s, min(host.latency_s, self._settings.max_crawl_delay_s))

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            self._forget_idle()
            circuit = Circuit(self._settings.breaker_after, self._settings.breaker_rest_s)
            host = self._hosts[name] = Host(self._clock(), circuit, self._asked_s)
        return host

    def _forget_idle(self) -> None:
        if len(self._hosts) >= MAX_IDLE_HOSTS:
            now = self._clock()
            self._hosts = {name: host for name, host in self._hosts.items() if not host.is_idle(now)}


def retry_after_s(value: str, now_s: float) -> float | None:
    """Seconds until the time of a Retry-After header (a number or a date), None where it makes no sense."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        return None
