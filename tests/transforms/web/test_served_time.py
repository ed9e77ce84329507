"""A process that is held up while servers answer: no deadline runs meanwhile, and the time is counted."""

import asyncio
import socket
import threading
import time

import pytest

from filters.reasons import Reason
from transforms.web.client import Client
from transforms.web.loop import SERVED_S, LoopClock, loop_clock, run_async
from transforms.web.settings import Timeouts, WebSettings

HELD_UP_S = 3.0
LIMITS = Timeouts(connect_s=0.5, read_s=0.5, total_s=1.0)


class Server:
    """Answers in a thread of its own, whatever the client's loop does: after 0.2 s, or never."""

    def __init__(self, answers: bool, pieces: int = 1) -> None:
        self._answers, self._pieces = answers, pieces
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            connection.recv(4096)
            if self._answers:
                time.sleep(0.2)
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {self._pieces}\r\n\r\n".encode())
                for _ in range(self._pieces):
                    connection.sendall(b"x")


async def ask(server: Server, hold_up_after_s: float | None, times: int = 1):
    """One request of a server on loopback; the loop is blocked meanwhile, as often as is said."""
    settings = WebSettings(connect_to={"a.test:80": f"127.0.0.1:{server.port}"}, timeouts=LIMITS)
    async with Client(settings, "Test/1") as client:
        request = asyncio.create_task(client.get("http://a.test/x", max_bytes=1000, accept="*/*"))
        for _ in range(times if hold_up_after_s is not None else 0):
            await asyncio.sleep(hold_up_after_s)
            time.sleep(HELD_UP_S / times)
        return await request


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1])
def test_an_answer_that_came_meanwhile_is_taken(after_s):
    """The server answers 0.2 s after it was asked; read and total deadlines would have passed three times."""
    with Server(answers=True) as server:
        answer = run_async(ask(server, after_s))
    assert answer.drop is None
    assert answer.body == b"x"
    assert answer.loop_late_s > HELD_UP_S / 2


def test_held_up_again_and_again():
    with Server(answers=True, pieces=20) as server:
        answer = run_async(ask(server, 0.03, times=6))
    assert answer.drop is None
    assert len(answer.body) == 20


def test_a_server_that_never_answers_is_given_up_all_the_same():
    with Server(answers=False) as server:
        answer = run_async(ask(server, 0.05))
    assert answer.drop is not None
    assert answer.drop.reason is Reason.TIMEOUT
    assert answer.drop.detail == "read"


def test_nothing_is_late_on_a_loop_that_is_served():
    with Server(answers=True) as server:
        answer = run_async(ask(server, None))
    assert answer.drop is None
    assert answer.loop_late_s < answer.duration_s


class Loop:
    """A loop whose timers are fired by hand."""

    def __init__(self) -> None:
        self.due = None

    def call_later(self, delay_s, callback):
        self.due = callback

    def time(self) -> float:
        return 0.0


def test_the_clock_moves_by_little_between_two_ticks(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    loop = Loop()
    clock = LoopClock(loop)
    for passed_s, moved_s, late_s in [(0.05, 0.05, 0.0), (0.06, 0.06, 0.0), (3.0, SERVED_S, 3.0 - SERVED_S)]:
        before_s, late_before_s = clock.now_s(), clock.late_s
        now[0] += passed_s
        assert clock.now_s() - before_s == pytest.approx(moved_s)  # before the tick as after it
        loop.due()
        assert clock.now_s() - before_s == pytest.approx(moved_s)
        assert clock.late_s - late_before_s == pytest.approx(late_s)


def test_a_timeout_by_the_clock():
    async def held_up() -> str:
        async with loop_clock().timeout(0.5):
            await asyncio.sleep(0.05)
            time.sleep(1.0)
            await asyncio.sleep(0.05)
            return "in time"

    async def too_long() -> None:
        async with loop_clock().timeout(0.1):
            await asyncio.sleep(60)

    assert run_async(held_up()) == "in time"
    with pytest.raises(TimeoutError):
        run_async(too_long())
