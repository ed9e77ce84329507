"""An S3 server on loopback (`rclone serve s3`) over a folder, and one in front of it that makes trouble on demand."""

import contextlib
import ctypes
import http.client
import http.server
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

RCLONE = Path(sys.executable).with_name("rclone")
BUCKET = "bucket"
KEY, SECRET = "pairmill-test-key", "pairmill-test-secret"
STARTED = re.compile(r"http://127\.0\.0\.1:(\d+)/")
PR_SET_PDEATHSIG = 1


class S3(NamedTuple):
    """A server at work."""

    url: str  # of its bucket: s3://bucket
    environment: dict[str, str]  # what a process needs to reach it
    endpoint: str
    folder: Path  # where the bucket's objects lie, as plain files; to be read only, the server remembers its folders


def environment_of(endpoint: str, key: str = KEY, secret: str = SECRET) -> dict[str, str]:
    """The usual variables, and nothing of the machine's own files."""
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def serving_s3(folder: Path) -> Iterator[S3]:
    """Serve `folder`, with one empty bucket in it, until the block ends."""
    objects = Path(folder) / BUCKET
    objects.mkdir(parents=True, exist_ok=True)
    log = Path(folder).parent / f"{Path(folder).name}.rclone.log"
    words = [RCLONE, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null",
             "--log-file", log, f":local:{folder}"]  # fmt: skip
    server = subprocess.Popen(list(map(str, words)), preexec_fn=_end_with_parent)
    try:
        endpoint = f"http://127.0.0.1:{_port(server, log)}"
        yield S3(f"s3://{BUCKET}", environment_of(endpoint), endpoint, objects)
    finally:
        server.terminate()
        server.wait(10)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _port(server: subprocess.Popen, log: Path, timeout_s: float = 20) -> int:
    """The port that the server chose: it says so once it listens."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and server.poll() is None:
        text = log.read_text() if log.exists() else ""
        if found := STARTED.search(text):
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"rclone did not start: {log.read_text() if log.exists() else 'it says nothing'}")


@contextlib.contextmanager
def reaching(environment: dict[str, str]) -> Iterator[None]:
    """This process reaches the server, too: fsspec's instances of another one are forgotten, before and after."""
    from s3fs import S3FileSystem

    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        S3FileSystem.clear_instance_cache()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Asked(NamedTuple):
    """One request that came to the troubled server."""

    at_s: float  # monotonic
    method: str
    target: str  # path and query
    range: str  # the header
    fate: str  # what was done with it


FatalError = Callable[
    [str, str, int], str
]  # (method, target, requests before it) → PASS, HANG, RESET, or "503 SlowDown"
PASS, HANG, RESET = "pass", "hang", "reset"


class Troubled(NamedTuple):
    """A server in front of an S3 server."""

    environment: dict[str, str]
    log: list[Asked]


@contextlib.contextmanager
def troubled(s3: S3, trouble: FatalError) -> Iterator[Troubled]:
    """Hands requests on to `s3`, but for those to which `trouble` has another answer."""
    log: list[Asked] = []
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            fate = trouble(self.command, self.path, len(log))
            log.append(Asked(time.monotonic(), self.command, self.path, self.headers.get("Range", ""), fate))
            if fate == HANG:
                over.wait()
            elif fate == RESET:
                self.connection.recv(1 << 16)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif fate != PASS:
                self._refuse(*fate.split())
            else:
                self._hand_on()
                return
            self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _refuse(self, status: str, code: str) -> None:
            self._body()
            text = f"<Error><Code>{code}</Code><Message>said on purpose</Message></Error>".encode()
            self._answer(int(status), {"Content-Type": "application/xml"}, text)

        def _hand_on(self) -> None:
            server = http.client.HTTPConnection(s3.endpoint.removeprefix("http://"), timeout=60)
            headers = dict(self.headers.items())
            headers.pop("Expect", None)  # the base class has said 100 Continue
            server.request(self.command, self.path, self._body(), headers)
            answer = server.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
            server.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent: what was asked stands in `log`."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield Troubled(environment_of(f"http://127.0.0.1:{server.server_port}"), log)
    finally:
        over.set()
        server.shutdown()
        server.server_close()
