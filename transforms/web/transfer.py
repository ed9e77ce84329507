"""One request on its way, and what came back: head and body within their caps, each phase within its deadline."""

from collections.abc import Callable
from typing import NamedTuple

from filters.reasons import Drop, Reason
from transforms.formats.http_headers import Headers, first, parse_fields
from transforms.web.settings import Timeouts

MAX_HEADER_FIELDS = 128
MAX_NOTE_BYTES = 64 * 1024  # of the body of an error or redirect, read only to keep the connection


class Caps(NamedTuple):
    """What a transfer may bring."""

    body_bytes: int
    header_bytes: int  # of one header line
    cut: bool = False  # a longer body is cut off there instead of refused


class Transfer:
    """What curl's callbacks fill. A callback that returns False ends the transfer: `drop` or `is_enough` says why.

    `now_s` is the clock of its deadlines: the time in which the loop was served (`transforms.web.loop`).
    """

    def __init__(
        self,
        caps: Caps,
        timeouts: Timeouts,
        now_s: Callable[[], float],
        on_connected: Callable[[str], Drop | None],
        on_answer: Callable[[], None],
        may_grow: Callable[["Transfer"], bool],
    ) -> None:
        self.status: int | None = None
        self.address = ""
        self.body = bytearray()
        self.drop: Drop | None = None
        self.is_enough = False
        self._lines: list[bytes] = []
        self._fields: Headers = ()
        self._caps, self._timeouts, self._now_s = caps, timeouts, now_s
        self._on_connected, self._on_answer, self._may_grow = on_connected, on_answer, may_grow
        self._begun_s = self._heard_s = now_s()
        self._is_connected = False
        self._head_is_whole = False
        self._paused_s: float | None = None

    # callbacks

    def connected(self, ip: str) -> bool:
        """The connection is ready and nothing is sent yet."""
        self.address = ip
        self.drop = self._on_connected(ip)
        self._is_connected = True
        self._heard_s = self._now_s()
        return self.drop is None

    def header_line(self, line: bytes) -> bool:
        self._heard_s = self._now_s()
        if self._head_is_whole and not line.startswith(b"HTTP/"):
            return True  # a trailer
        if line.startswith(b"HTTP/"):
            return self._begin_head(line)
        if line in (b"\r\n", b"\n"):
            return self._end_head()
        if len(line) > self._caps.header_bytes or len(self._lines) >= MAX_HEADER_FIELDS:
            return self._end(Drop(Reason.BAD_HTTP, None, "headers without end"))
        self._lines.append(line)
        return True

    def _begin_head(self, line: bytes) -> bool:
        """Also after a 1xx, whose fields mean nothing."""
        self._on_answer()
        self._lines, self._fields, self._head_is_whole = [], (), False
        code = line.split(b" ", 2)[1:2]
        if not code or not code[0].strip().isdigit():
            return self._end(Drop(Reason.BAD_HTTP, None, "not an HTTP answer"))
        self.status = int(code[0])
        return True

    def _end_head(self) -> bool:
        self._head_is_whole = True
        self._fields = parse_fields(self._lines)
        length = first(self._fields, "content-length")
        declared = int(length) if length.isascii() and length.isdigit() else 0
        if self._is_wanted() and declared > self._caps.body_bytes and not self._caps.cut:
            return self._end(Drop(Reason.TOO_MANY_BYTES, self._caps.body_bytes))
        if not self._is_wanted() and declared > MAX_NOTE_BYTES and (self.status or 0) >= 200:
            self.is_enough = True
        return not self.is_enough

    def body_piece(self, piece: bytes) -> bool | None:
        """None: not now; the same piece is to come again when `resume` has been called."""
        self._heard_s = self._now_s()
        if not self._is_wanted():
            self.body += piece
            self.is_enough = len(self.body) > MAX_NOTE_BYTES
            return not self.is_enough
        if not self._may_grow(self):
            self._paused_s = self._heard_s
            return None
        self.body += piece
        if len(self.body) <= self._caps.body_bytes:
            return True
        if self._caps.cut:
            del self.body[self._caps.body_bytes :]
            self.is_enough = True
            return False
        return self._end(Drop(Reason.TOO_MANY_BYTES, self._caps.body_bytes))

    def heard(self) -> None:
        """Something came, of which more will be said later: the server goes on."""
        self._heard_s = self._now_s()

    def resume(self) -> None:
        """The wait was ours: the server's deadlines did not run."""
        assert self._paused_s is not None
        waited_s = self._now_s() - self._paused_s
        self._begun_s += waited_s
        self._heard_s += waited_s
        self._paused_s = None

    def _end(self, drop: Drop) -> bool:
        self.drop = drop
        return False

    def _is_wanted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    # what came

    def overdue(self) -> str:
        """Which deadline has passed: connect, read or total; "" for none."""
        if self._paused_s is not None:
            return ""
        now_s = self._now_s()
        if now_s - self._begun_s > self._timeouts.total_s:
            return "total"
        if not self._is_connected:
            return "connect" if now_s - self._begun_s > self._timeouts.connect_s else ""
        return "read" if now_s - self._heard_s > self._timeouts.read_s else ""

    @property
    def has_status(self) -> bool:
        """Whether a whole head came, so that an error or redirect is known whatever becomes of its body."""
        return self._head_is_whole

    def headers(self) -> Headers:
        """The fields of the final answer."""
        return self._fields
