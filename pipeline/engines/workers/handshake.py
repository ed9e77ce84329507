"""What a driver and its workers on other machines must agree on: the versions, and the run directory."""

import platform
import socket
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from pipeline import __version__
from transforms import storage
from transforms.coordination.fatal import FatalError

OTHER_VERSION = 81  # exit codes of a worker that refuses to work; its runner passes them to the driver
RUN_NOT_SEEN = 82
NAME = ".probe"
OPTION = "beam:option:{}:v1"


class HandshakeError(FatalError):
    """This worker cannot do the driver's work."""


class Probe(NamedTuple):
    """A small file in the run directory that a worker must be able to read."""

    run: str
    token: str
    version: str

    @classmethod
    def publish(cls, run: str) -> "Probe":
        """Put it there. Raises StorageError."""
        probe = cls(run, uuid.uuid4().hex, own_version())
        storage.publish(storage.join(run, NAME), probe.token.encode())
        return probe

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Probe | None":
        """From the options of a job (Beam's JSON form), where a driver of ours put it."""
        values = [str(options.get(OPTION.format(f"pairmill_{name}")) or "") for name in cls._fields]
        return cls(*values) if all(values) else None

    def arguments(self) -> list[str]:
        return [f"--pairmill_{name}={value}" for name, value in self._asdict().items()]

    def check(self) -> None:
        """Raises HandshakeError where the run directory is not the driver's."""
        path = storage.join(self.run, NAME)
        try:
            seen = storage.read_bytes(path).decode()
        except storage.StorageError as error:
            raise HandshakeError(f"{socket.gethostname()}: {error}") from error
        if seen != self.token:
            raise HandshakeError(f"{socket.gethostname()}: {path} is another file here than on the driver's machine")


def own_version() -> str:
    """What must be the same on both sides: records are exchanged in our form, functions in Python's."""
    python = ".".join(platform.python_version_tuple()[:2])
    return f"pairmill {__version__}, python {python}, beam {version('apache-beam')}"
