"""A decoder process: batches of bodies come in by a socket, images ready to be stored go out.

`python -m transforms.image.worker FD SETTINGS`. It ends when the other side closes the socket. Frames are a length
(four bytes, big-endian) and msgpack: nothing that a broken decoder could say is ever executed by its parent.
"""

import contextlib
import os
import resource
import socket
import struct
import sys

import msgspec

from filters.reasons import Drop, Reason
from transforms.image.process import ImageSettings, Processed, process_image

MAX_MEMORY_BYTES = 8 * 1024**3  # of address space: the largest picture allowed needs half of it
_LENGTH = struct.Struct("!I")


class Outcome(msgspec.Struct, array_like=True):
    """What became of one body: an image, or why there is none."""

    done: Processed | None
    reason: str = ""
    value: float | None = None
    detail: str = ""

    def result(self) -> Processed | Drop:
        return self.done if self.done is not None else Drop(Reason(self.reason), self.value, self.detail)


_ENCODER = msgspec.msgpack.Encoder()
_BODIES = msgspec.msgpack.Decoder(list[bytes])
_OUTCOMES = msgspec.msgpack.Decoder(list[Outcome])


def send_bodies(to: socket.socket, bodies: list[bytes]) -> None:
    _send(to, _ENCODER.encode(bodies))


def receive_outcomes(of: socket.socket) -> list[Processed | Drop]:
    """Raises EOFError where the process is gone, msgspec.DecodeError where it talks nonsense, TimeoutError."""
    return [outcome.result() for outcome in _OUTCOMES.decode(_receive(of))]


def _send(to: socket.socket, data: bytes) -> None:
    to.sendall(_LENGTH.pack(len(data)) + data)


def _receive(of: socket.socket) -> bytes:
    return _read(of, _LENGTH.unpack(_read(of, _LENGTH.size))[0])


def _read(of: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = of.recv(min(length - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def outcome_of(body: bytes, settings: ImageSettings) -> Outcome:
    result = process_image(body, settings)
    if isinstance(result, Drop):
        return Outcome(None, str(result.reason), result.value, result.detail)
    return Outcome(result)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    settings = ImageSettings.model_validate_json(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as parent, contextlib.suppress(EOFError, ConnectionError):
        while True:  # until the parent is gone, with or without a word
            bodies = _BODIES.decode(_receive(parent))
            _send(parent, _ENCODER.encode([outcome_of(body, settings) for body in bodies]))


if __name__ == "__main__":
    main()
    os._exit(0)  # libraries may hang in their own farewells
