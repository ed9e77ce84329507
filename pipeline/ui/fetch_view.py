"""What a fetch has come to so far, on whatever machine: from the parts that it has committed, and from the heartbeats
of those who are at work, which count the rows of parts that are under way."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from transforms import run_dir, storage
from transforms.coordination import lease
from transforms.fetch.plan import LEASES
from transforms.formats import parquet
from transforms.records import FetchLog

TOP, MIN_ASKED = 5, 3  # hosts and reasons that are shown; hosts of fewer requests tell nothing
MAX_HOSTS = 100_000  # that are kept
KEPT_HOSTS = 1_000  # the slowest
GLANCE_PARTS = 32  # that are read at a glance, and after which the sums are kept again
SLOW_S = 0.1  # of a host that is shown: faster ones hold nobody up
LATE_SHARE = 0.05  # of the requests' time: what is late less often than this nobody notices


class Waited(NamedTuple):
    """How long a host's requests took together."""

    requests: int
    seconds: float


class Sums(NamedTuple):
    """What the parts of a round come to: `images/sums/`."""

    parts: list[str]  # their stems
    reasons: dict[str, int]  # rows; "" is success
    committed: dict[str, int]  # rows by the stem of their task
    hosts: dict[str, Waited]
    bytes_received: int
    first_s: float  # since the epoch: the first request, 0 where there was none; the last answer
    last_s: float
    requests_s: float
    late_s: float


class FetchView:
    """Reads each part once: `view.update()` as often as it is shown, then `facts()` or `line()`.

    With `keeps` it leaves its sums in the run directory, so that whoever looks later need not read the parts again.
    """

    def __init__(self, run: str, round_: int, *, keeps: bool = False) -> None:
        self._run, self._round, self._keeps = run, round_, keeps
        self._seen: set[str] = set()
        self._kept = self._uncounted = 0  # parts: in the kept sums; there, and not counted here
        self._reasons: Counter[str] = Counter()
        self._hosts: dict[str, Waited] = {}
        self._bytes = self._in_flight = 0
        self._committed: Counter[str] = Counter()  # rows by the stem of their task
        self._at_work: dict[str, int] = {}  # rows with an outcome, by the stem of a task that somebody is at
        self._first_s, self._last_s = float("inf"), 0.0
        self._requests_s = self._late_s = 0.0  # of all requests together

    def update(self) -> None:
        for stem in self._unseen(run_dir.stems_of_round(self._run, self._round)):
            self._count(stem)
            if self._keeps and len(self._seen) - self._kept >= GLANCE_PARTS:
                self.keep()

    def glance(self, stems: Sequence[str]) -> None:
        """As `update`, given the stems of the round; but of what is in no kept sums only GLANCE_PARTS are read."""
        unseen = self._unseen(stems)
        self._uncounted = max(0, len(unseen) - GLANCE_PARTS)
        for stem in unseen[:GLANCE_PARTS]:
            self._count(stem)

    def _unseen(self, stems: Sequence[str]) -> list[str]:
        self._look_at_work()
        if not self._seen and stems:
            self._take_kept(set(stems))
        return [stem for stem in stems if stem not in self._seen]

    def _look_at_work(self) -> None:
        claims = lease.living(self._run, LEASES)
        self._in_flight = sum(claim.busy for _, claim in claims)
        self._at_work = {}
        for name, claim in claims:
            task = name.removeprefix(LEASES)
            if run_dir.round_of(task) == self._round:
                self._at_work[task] = max(claim.done, self._at_work.get(task, 0))

    def rows_done(self) -> int:
        """Rows of the round with an outcome. Those of a part that is not committed are asked again if its attempt dies;
        whoever is at work counts the rows of parts that were committed before too, as far as it has come to them."""
        return sum(
            max(self._committed[task], self._at_work.get(task, 0)) for task in {*self._committed, *self._at_work}
        )

    def _count(self, stem: str) -> None:
        self._seen.add(stem)
        self._read(storage.join(self._run, run_dir.IMAGES, stem), stem.rpartition("-")[0])

    def keep(self) -> None:
        """Leave the sums in the run directory, of the hosts only the slowest. Raises StorageError."""
        slowest = sorted(self._hosts.items(), key=lambda item: item[1].seconds / item[1].requests)[-KEPT_HOSTS:]
        first_s = self._first_s if self._hosts else 0.0
        sums = Sums(sorted(self._seen), self._reasons, self._committed, dict(slowest), self._bytes, first_s,
                    self._last_s, self._requests_s, self._late_s)  # fmt: skip
        storage.publish(run_dir.fetch_sums(self._run, self._round), msgspec.json.encode(sums))
        self._kept = len(self._seen)

    def _take_kept(self, stems: set[str]) -> None:
        """Begin with the sums that were kept, if all parts that they count are still there."""
        path = run_dir.fetch_sums(self._run, self._round)
        if not storage.exists(path):
            return
        try:
            sums = msgspec.json.decode(storage.read_bytes(path), type=Sums)
        except msgspec.DecodeError:
            return  # another version's: all that they say can be read from the parts
        if stems.issuperset(sums.parts):
            self._seen, self._kept = set(sums.parts), len(sums.parts)
            self._reasons, self._committed = Counter(sums.reasons), Counter(sums.committed)
            self._hosts, self._bytes = sums.hosts, sums.bytes_received
            self._first_s = sums.first_s or float("inf")
            self._last_s, self._requests_s, self._late_s = sums.last_s, sums.requests_s, sums.late_s

    def _read(self, stem: str, task: str) -> None:
        reasons = [row["reason"] for row in parquet.read_columns(f"{stem}.parquet", ["reason"])]
        self._reasons.update(reasons)
        self._committed[task] += len(reasons)
        for log in parquet.read_rows(f"{stem}.log.parquet", FetchLog):
            if log.started_s:  # 0: nothing was asked
                self._note(log)

    def _note(self, log: FetchLog) -> None:
        self._bytes += log.bytes_received
        self._requests_s += log.duration_s
        self._late_s += log.loop_late_s
        self._first_s = min(self._first_s, log.started_s)
        self._last_s = max(self._last_s, log.started_s + log.duration_s)
        known = self._hosts.get(log.host, Waited(0, 0.0))
        if known.requests or len(self._hosts) < MAX_HOSTS:
            self._hosts[log.host] = Waited(known.requests + 1, known.seconds + log.duration_s)

    def facts(self) -> dict[str, Any]:
        """Images, rates over the time between the first request and the last answer, reasons, the slowest hosts."""
        rows, images = sum(self._reasons.values()), self._reasons[""]
        seconds = max(self._last_s - self._first_s, 0.001) if self._hosts else float("inf")  # where nobody was asked
        slow = sorted(((w.seconds / w.requests, host) for host, w in self._hosts.items() if w.requests >= MIN_ASKED),
                      reverse=True)  # fmt: skip
        return {
            "in_flight": self._in_flight,
            "uncounted_parts": self._uncounted,
            "rows": rows,
            "images": images,
            "success_share": round(images / rows, 4) if rows else None,
            "images_per_s": round(images / seconds, 2),
            "mb_per_s": round(self._bytes / seconds / 1e6, 3),
            "top_reasons": dict(self.drops().most_common(TOP)),
            "loop_late_s": round(self._late_s, 1),
            "loop_late_share": round(self._late_s / self._requests_s, 4) if self._requests_s else 0.0,
            "slowest_hosts": [{"host": host, "seconds": round(mean, 3)} for mean, host in slow[:TOP]],
        }

    def drops(self) -> Counter[str]:
        return Counter({reason: n for reason, n in self._reasons.items() if reason})

    def line(self) -> str:
        return line_of(self.facts())

    def warning(self) -> str:
        """What is wrong with how this machine asks, and the remedy; "" where nothing is."""
        return warning_of(self.facts())


def line_of(facts: dict[str, Any]) -> str:
    """The facts for a person, or nothing before the first request."""
    parts = [f"{facts['in_flight']:,} in flight"] if facts["in_flight"] else []
    if not facts["rows"]:
        return ", ".join(parts)
    parts += [f"{facts['images']:,} images", f"{facts['success_share']:.0%} of the urls",
             f"{facts['images_per_s']:.1f} images/s", f"{facts['mb_per_s']:.1f} MB/s"]  # fmt: skip
    parts += [f"{facts['uncounted_parts']:,} parts not counted yet"] if facts["uncounted_parts"] else []
    parts += [f"{reason} {n:,}" for reason, n in list(facts["top_reasons"].items())[:2]]
    parts += [f"loop late {facts['loop_late_share']:.0%}"] if facts["loop_late_share"] > LATE_SHARE else []
    parts += [f"slowest {host['host']} {host['seconds']:.1f} s" for host in facts["slowest_hosts"][:1]
              if host["seconds"] >= SLOW_S]  # fmt: skip
    return ", ".join(parts)


def warning_of(facts: dict[str, Any]) -> str:
    """Of a machine that is too busy to read what servers answer: it costs time, not rows."""
    if facts["loop_late_share"] <= LATE_SHARE:
        return ""
    return (
        f"the asking processes had to wait for this machine in {facts['loop_late_share']:.0%} of their requests' time; "
        "deadlines waited with them. Stop other work, or lower engine.workers, fetch.decoders or web.concurrency"
    )
