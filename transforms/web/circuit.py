"""A circuit breaker (Nygard, Release It!, 2007) for a host that stops answering after its robots.txt was read."""

from filters.reasons import Drop, Reason

# What a host that is gone looks like. An answer that ends early or is no HTTP comes from a host that lives.
_NO_ANSWER = frozenset({Reason.CONNECT_FAILED, Reason.TLS_FAILED, Reason.CONNECTION_LOST})


class Circuit:
    """Of one host: `after` failures in a row open it for `rest_s` seconds; then each further failure does."""

    def __init__(self, after: int, rest_s: float) -> None:
        self._after = after
        self._rest_s = rest_s
        self._failures = 0
        self._last: Drop | None = None
        self._open_until_s = float("-inf")

    def note(self, status: int | None, drop: Drop | None, now: float) -> None:
        """How a request ended. A deadline counts whatever came before it: a host that drips costs as much as a silent
        one. Failures on our own side (`local_*`) say nothing of the host."""
        if drop is not None and (drop.reason is Reason.TIMEOUT or (status is None and drop.reason in _NO_ANSWER)):
            self._failures += 1
            self._last = drop
            if self._failures >= self._after:
                self._open_until_s = now + self._rest_s
        elif status is not None:
            self._failures = 0

    def judge(self, now: float) -> Drop | None:
        """Why the host is not asked now, or None."""
        if self._last is None or now >= self._open_until_s or self._failures < self._after:
            return None
        last = f"{self._last.reason}: {self._last.detail}" if self._last.detail else str(self._last.reason)
        return Drop(Reason.HOST_UNREACHABLE, self._failures, f"failures in a row, the last {last}")
