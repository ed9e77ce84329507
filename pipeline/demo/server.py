"""Serves the demo's web on loopback, by virtual hosts, in a child process that does not outlive its parent."""

import asyncio
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web as http
from multidict import CIMultiDict

from pipeline.demo.answers import Answer, answer
from pipeline.demo.settings import DemoSettings
from pipeline.demo.web import Web, build_web

MAX_LIFE_S = 4 * 3600.0  # nothing of the demo runs longer
START_S = 60.0
READY = "demo web listening on "
DRIP_S, DRIP_BYTES, MAX_DRIPS = 0.5, 1, 120  # a slow body: a byte every half second, for a minute
SILENCE_S = 60.0
PAINTERS = 2  # threads
ENDLESS_BYTES, ENDLESS_PIECE = 96 * 1024 * 1024, 1024 * 1024  # bounded: three times the default limit of an image


@contextmanager
def serve_demo(settings: DemoSettings, log_path: Path, port: int = 0) -> Iterator[str]:
    """A server in a child process; yields its address, "127.0.0.1:PORT". Raises RuntimeError if it does not start."""
    command = [sys.executable, "-m", "pipeline.demo", "serve", "--port", str(port), "--log", str(log_path)]
    command += ["--pages", str(settings.pages), "--seed", str(settings.seed), "--parent", str(os.getpid())]
    # A session of its own: a Ctrl-C is the run's to handle, and must not look like a web that broke down.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    try:
        yield _wait_ready(child)
    finally:
        child.terminate()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _wait_ready(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        line = child.stdout.readline().decode() if selector.select(START_S) else ""
    if not line.startswith(READY):
        raise RuntimeError(f"the demo's server did not start (exit {child.poll()}): {line!r}")
    return line.removeprefix(READY).strip()


def serve(settings: DemoSettings, port: int, log_path: Path | None, parent: int | None, life_s: float) -> None:
    """Serve in this process until the time is over, the process `parent` is gone, or a signal comes."""
    try:
        asyncio.run(_serve(settings, port, log_path, parent, life_s))
    except KeyboardInterrupt:
        return


async def _serve(settings: DemoSettings, port: int, log_path: Path | None, parent: int | None, life_s: float) -> None:
    server = DemoServer(build_web(settings), log_path)
    address = await server.start(port)
    print(READY + address, flush=True)
    end = time.monotonic() + life_s
    while time.monotonic() < end and (parent is None or os.getppid() == parent):
        await asyncio.sleep(0.3)
    await server.stop()


class DemoServer:
    """The web behind one port of 127.0.0.1."""

    def __init__(self, web: Web, log_path: Path | None = None) -> None:
        self._web = web
        self._log = None if log_path is None else os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._runner: http.ServerRunner | None = None
        self._painters = ThreadPoolExecutor(PAINTERS)

    async def start(self, port: int = 0) -> str:
        """Listen; returns "127.0.0.1:PORT". Raises OSError where the port is taken."""
        self._runner = http.ServerRunner(http.Server(self._handle, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        site = http.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._painters.shutdown()
        if self._log is not None:
            os.close(self._log)
            self._log = None

    async def _handle(self, request: http.BaseRequest) -> http.StreamResponse:
        asked_s = time.time()
        host = request.headers.get("Host", "").partition(":")[0].lower()
        if request.method == "GET":
            # Drawing takes 16 ms: on the loop, a queue of pictures would hold up bodies that are on their way.
            reply = await asyncio.get_running_loop().run_in_executor(
                self._painters, answer, self._web, host, request.raw_path
            )
        else:
            reply = Answer(405)
        self._write_log(asked_s, host, request.raw_path, reply.status)
        headers: CIMultiDict[str] = CIMultiDict(reply.headers)
        headers["Date"] = "Thu, 01 Jan 2026 00:00:00 GMT"  # no clock in what is archived
        if reply.pace:
            return await _stream(request, reply, headers)
        return http.Response(status=reply.status, headers=headers, body=reply.body)

    def _write_log(self, asked_s: float, host: str, target: str, status: int) -> None:
        """One line a request, with the time at which it came, in one write: a killed process leaves whole lines."""
        if self._log is not None:
            os.write(self._log, f"{asked_s:.3f} {host} {target} {status}\n".encode())


async def _stream(request: http.BaseRequest, reply: Answer, headers: CIMultiDict[str]) -> http.StreamResponse:
    """A body that tries a client's patience. A client that hangs up ends it."""
    response = http.StreamResponse(status=reply.status, headers=headers)
    if reply.pace == "silent":
        await asyncio.sleep(SILENCE_S)
    try:
        await response.prepare(request)
        if reply.pace == "slow":
            for place in range(min(MAX_DRIPS, len(reply.body))):
                await response.write(reply.body[place : place + DRIP_BYTES])
                await asyncio.sleep(DRIP_S)
        elif reply.pace == "endless":
            await _pour(response, reply.body)
    except ConnectionError:
        pass  # the client had enough
    return response


async def _pour(response: http.StreamResponse, start: bytes) -> None:
    """The picture, and then zeros without an end in sight."""
    await response.write(start)
    piece = bytes(ENDLESS_PIECE)
    for _ in range(ENDLESS_BYTES // ENDLESS_PIECE):
        await response.write(piece)
