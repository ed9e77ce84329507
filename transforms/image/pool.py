"""A pool of decoder processes: a crash or a hang in a C library costs one image, and no worker."""

import asyncio
import atexit
import os
import queue
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import msgspec

from filters.reasons import Drop, Reason
from transforms.image.process import ImageSettings, Processed
from transforms.image.worker import receive_outcomes, send_bodies

BATCH = 16  # bodies in one message
BATCH_BYTES = 4 * 1024 * 1024
WAITING_BYTES = 16 * 1024 * 1024  # bodies without a decoder: beyond it nothing more is asked for
# For glibc's malloc: pictures come and go by the megabyte. Memory that is given back to the system and taken again for
# each of them costs a tenth of a decoder's time.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(64 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
TIMEOUT_S = 60.0  # of a message: the largest picture takes two


class Decoder:
    """One process. Started again after each end."""

    program: tuple[str, ...] = ("-m", "transforms.image.worker")

    def __init__(self, settings: ImageSettings, timeout_s: float) -> None:
        self._settings, self._timeout_s = settings, timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def decode(self, bodies: list[bytes]) -> list[Processed | Drop]:
        """An outcome for each. Where the process ends or hangs, each body is tried alone: one costs only itself."""
        outcomes = self._exchange(bodies)
        if isinstance(outcomes, list):
            return outcomes
        if len(bodies) == 1:
            return [outcomes]
        return [outcome for body in bodies for outcome in self.decode([body])]

    def _exchange(self, bodies: list[bytes]) -> list[Processed | Drop] | Drop:
        link = self.start()
        try:
            send_bodies(link, bodies)
            outcomes = receive_outcomes(link)
        except TimeoutError:
            self.stop()
            return Drop(Reason.DECODER_CRASHED, None, "hung")
        except (OSError, EOFError, msgspec.DecodeError, ValueError):
            self.stop()
            return Drop(Reason.DECODER_CRASHED, None, "ended")
        return outcomes

    def start(self) -> socket.socket:
        """The way to the process, which is started where none is there."""
        if self._socket is not None:
            return self._socket
        ours, theirs = socket.socketpair()
        command = [sys.executable, *self.program, str(theirs.fileno()), self._settings.model_dump_json()]
        fds = [theirs.fileno()]
        self._process = subprocess.Popen(
            command,
            pass_fds=fds,
            env=ALLOCATOR | os.environ,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the run
        )
        theirs.close()
        ours.settimeout(self._timeout_s)
        self._socket = ours
        return ours

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None


class DecoderPool:
    """`count` processes, shared by all tasks of this one that want images of the same kind."""

    def __init__(self, count: int, settings: ImageSettings, timeout_s: float = TIMEOUT_S) -> None:
        self.count = count
        self.threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")
        self._decoders = [Decoder(settings, timeout_s) for _ in range(count)]
        self._idle: queue.SimpleQueue[Decoder] = queue.SimpleQueue()
        for decoder in self._decoders:
            decoder.start()  # it loads its libraries while the first answers are on their way
            self._idle.put(decoder)

    def decode(self, bodies: list[bytes]) -> list[Processed | Drop]:
        """Waits for a process that is idle; blocks."""
        decoder = self._idle.get()
        try:
            return decoder.decode(bodies)
        finally:
            self._idle.put(decoder)

    def close(self) -> None:
        self.threads.shutdown()
        for decoder in self._decoders:
            decoder.stop()


@cache
def shared_pool(count: int, settings_json: str) -> DecoderPool:
    """The pool of this process. Its processes end with it: their socket closes."""
    pool = DecoderPool(count, ImageSettings.model_validate_json(settings_json))
    atexit.register(pool.close)
    return pool


Waiting = tuple[bytes, "asyncio.Future[Processed | Drop]"]


class DecodeQueue:
    """A pool as a coroutine sees it: while all decoders are busy bodies gather, and go out as one message."""

    def __init__(self, pool: DecoderPool) -> None:
        self._pool = pool
        self._free = pool.count
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def room(self) -> None:
        """Returns when the decoders keep up with what comes."""
        await self._has_room.wait()

    async def process(self, body: bytes) -> Processed | Drop:
        """See `process_image`; DECODER_CRASHED where its process ended or hung."""
        outcome: asyncio.Future[Processed | Drop] = asyncio.get_running_loop().create_future()
        self._waiting.append((body, outcome))
        self._waiting_bytes += len(body)
        self._send()
        return await outcome

    def _send(self) -> None:
        while self._waiting and self._free:
            self._free -= 1
            batch = list(self._take())
            bodies = [body for body, _ in batch]
            sent = asyncio.get_running_loop().run_in_executor(self._pool.threads, self._pool.decode, bodies)
            sent.add_done_callback(partial(self._receive, batch))
        if self._waiting_bytes > WAITING_BYTES:
            self._has_room.clear()
        else:
            self._has_room.set()

    def _take(self) -> Iterator[Waiting]:
        """The next few: as many as there are decoders to share them, within a message's bounds."""
        fair = -(-len(self._waiting) // self._pool.count)
        size = 0
        for _ in range(min(BATCH, fair)):
            body, outcome = self._waiting.popleft()
            self._waiting_bytes -= len(body)
            yield body, outcome
            size += len(body)
            if size > BATCH_BYTES:
                return

    def _receive(self, batch: list[Waiting], done: asyncio.Future[list[Processed | Drop]]) -> None:
        self._free += 1
        error = done.exception()
        for index, (_, outcome) in enumerate(batch):
            if outcome.done():
                continue  # whoever asked has gone
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(done.result()[index])
        self._send()
