"""curl's multi interface on an asyncio loop: thousands of transfers in one thread, each ended by a deadline of ours.

curl looks nothing up here: every transfer comes with the addresses that were judged for it.
"""

import asyncio
from typing import NamedTuple

import pycurl

from transforms.web.loop import TICK_S
from transforms.web.transfer import Transfer

MAX_IDLE_CONNECTIONS = 512
BUFFER_BYTES = 128 * 1024
# OpenSSL's own list but for its first: it would offer a key of the quantum age too, a tenth of a handshake's cost, for
# pictures that anybody may have.
KEY_EXCHANGES = "X25519:P-256:X448:P-384:P-521:ffdhe2048:ffdhe3072"
_READ, _WRITE = 1, 2  # bits of CURL_POLL_IN, OUT and INOUT


class Request(NamedTuple):
    """What curl gets of one request."""

    url: str
    fields: list[str]  # "Name: value"
    resolve: list[str]  # "+host:port:address,address"
    connect_to: list[str]  # "host:port:address:port"


class End(NamedTuple):
    """How a transfer ended."""

    code: int = pycurl.E_OK  # curl's
    message: str = ""
    errno: int = 0  # the system's, where a connection failed
    overdue: str = ""  # the deadline that ended it


class Curl:
    """Runs transfers on the running loop. `ca_file`: the certificates of all authorities, PEM."""

    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, MAX_IDLE_CONNECTIONS)
        self._handles: list[pycurl.Curl] = []
        self._running: dict[pycurl.Curl, tuple[Transfer, asyncio.Future[End]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._watched: dict[int, int] = {}

    @property
    def in_flight(self) -> int:
        return len(self._running)

    async def run(self, request: Request, transfer: Transfer) -> End:
        """Fill `transfer` with what comes of `request`; how it ended."""
        handle = self._handles.pop() if self._handles else self._new_handle()
        done: asyncio.Future[End] = self._loop.create_future()
        self._prepare(handle, request, transfer)
        self._running[handle] = transfer, done
        if self._ticker is None:
            self._ticker = self._loop.call_later(TICK_S, self._tick)
        try:
            self._multi.add_handle(handle)
            return await done
        finally:
            del self._running[handle]
            self._multi.remove_handle(handle)
            self._handles.append(handle)

    def resume(self, transfer: Transfer) -> None:
        """Go on with a transfer whose body had to wait."""
        for handle, (running, _) in self._running.items():
            if running is transfer:
                transfer.resume()
                handle.pause(pycurl.PAUSE_CONT)
                self._set_timer(0)

    def close(self) -> None:
        """Ends all connections; nothing may be running."""
        for timer in (self._timer, self._ticker):
            if timer is not None:
                timer.cancel()
        for handle in self._handles:
            handle.close()
        self._multi.close()
        for fd in list(self._watched):
            self._forget_socket(fd)

    # one handle

    def _new_handle(self) -> pycurl.Curl:
        """What holds for every request. No proxy, no file, no cookie, no password, no name of an old protocol."""
        handle = pycurl.Curl()
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.NOPROXY, "*")
        handle.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        handle.setopt(pycurl.FOLLOWLOCATION, 0)
        handle.setopt(pycurl.PATH_AS_IS, 1)
        handle.setopt(pycurl.HTTP_CONTENT_DECODING, 0)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.BUFFERSIZE, BUFFER_BYTES)
        handle.setopt(pycurl.SSL_EC_CURVES, KEY_EXCHANGES)
        handle.setopt(pycurl.CAINFO, self._ca_file)
        handle.unsetopt(pycurl.CAPATH)  # with it curl reads all certificates anew for each connection
        return handle

    @staticmethod
    def _prepare(handle: pycurl.Curl, request: Request, transfer: Transfer) -> None:
        def write(piece: bytes) -> int:
            taken = transfer.body_piece(piece)
            return pycurl.WRITEFUNC_PAUSE if taken is None else (len(piece) if taken else -1)

        def connected(ip: str, own_ip: str, port: int, own_port: int) -> int:
            return pycurl.PREREQFUNC_OK if transfer.connected(ip) else pycurl.PREREQFUNC_ABORT

        handle.setopt(pycurl.URL, request.url)
        handle.setopt(pycurl.HTTPHEADER, request.fields)
        handle.setopt(pycurl.RESOLVE, request.resolve)
        handle.setopt(pycurl.CONNECT_TO, request.connect_to)
        handle.setopt(pycurl.PREREQFUNCTION, connected)
        handle.setopt(pycurl.HEADERFUNCTION, lambda line: len(line) if transfer.header_line(line) else -1)
        handle.setopt(pycurl.WRITEFUNCTION, write)

    # the loop

    def _watch_socket(self, what: int, fd: int, multi: pycurl.CurlMulti, data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._forget_socket(fd)
            return
        before, self._watched[fd] = self._watched.get(fd, 0), what
        if what & _READ and not before & _READ:
            self._loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
        elif before & _READ and not what & _READ:
            self._loop.remove_reader(fd)
        if what & _WRITE and not before & _WRITE:
            self._loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
        elif before & _WRITE and not what & _WRITE:
            self._loop.remove_writer(fd)

    def _forget_socket(self, fd: int) -> None:
        what = self._watched.pop(fd, 0)
        if what & _READ:
            self._loop.remove_reader(fd)
        if what & _WRITE:
            self._loop.remove_writer(fd)

    def _set_timer(self, timeout_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if timeout_ms >= 0:
            self._timer = self._loop.call_later(timeout_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, mask: int) -> None:
        self._multi.socket_action(fd, mask)
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in good:
                self._finish(handle, End())
            for handle, code, message in bad:
                self._finish(handle, End(code, message, handle.getinfo(pycurl.OS_ERRNO)))

    def _finish(self, handle: pycurl.Curl, end: End) -> None:
        _, done = self._running[handle]
        if not done.done():
            done.set_result(end)

    def _tick(self) -> None:
        for handle, (transfer, _) in list(self._running.items()):
            overdue = transfer.overdue()
            if overdue:
                self._finish(handle, End(overdue=overdue))
        self._ticker = self._loop.call_later(TICK_S, self._tick) if self._running else None
