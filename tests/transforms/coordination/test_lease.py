"""Leases: never two holders, the dead make way, a holder that was away too long does nothing more."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from transforms.coordination import lease as leases
from transforms.coordination.lease import Claim, LeaseLost, LeaseTaken, Watch, clear, held, while_held

EXPIRY_S = 0.5


def hold(run: Path, name: str, seconds: float, log: list[tuple[float, float]], shared: bool = False) -> None:
    with held(str(run), name, EXPIRY_S, shared=shared) as lease:
        began = time.monotonic()
        time.sleep(seconds)
        lease.check()
        log.append((began, time.monotonic()))


def run_threads(run: Path, count: int, shared: bool = False) -> list[tuple[float, float]]:
    log: list[tuple[float, float]] = []
    threads = [threading.Thread(target=hold, args=(run, "x", 0.02, log, shared)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(log)


@pytest.mark.parametrize("number", range(5))
def test_of_many_threads_one_at_a_time_holds_it(tmp_path, number):
    log = run_threads(tmp_path, 6)
    assert len(log) == 6
    assert all(end <= begin for (_, end), (begin, _) in pairwise(log))
    assert list((tmp_path / "leases/x").iterdir()) == []


def test_shared_ones_hold_it_together(tmp_path):
    log = run_threads(tmp_path, 4, shared=True)
    assert any(end > begin for (_, end), (begin, _) in pairwise(log))


HOLDER = """
import sys, time
from transforms.coordination import lease
if sys.argv[3] == "foreign":
    lease.this_machine = lambda: "another machine"
with lease.held(sys.argv[1], "x", float(sys.argv[2])) as held:
    print("held", flush=True)
    for line in sys.stdin:
        try:
            held.check()
            print("may ask", flush=True)
        except lease.LeaseLost as error:
            print(f"lost: {error}", flush=True)
"""


class Holder:
    """Another process that holds the lease; `asks()` is what it would do before a request."""

    def __init__(self, run: Path, kind: str = "foreign", expiry_s: float = EXPIRY_S) -> None:
        words = [sys.executable, "-c", HOLDER, str(run), str(expiry_s), kind]
        root = str(Path(leases.__file__).parents[2])
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self.process.stdout.readline() == "held\n"

    def asks(self) -> str:
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def holder(tmp_path):
    started = []

    def start(kind: str = "foreign") -> Holder:
        started.append(Holder(tmp_path, kind))
        return started[-1]

    yield start
    for one in started:
        one.end()


def seconds_to_get(run: Path) -> float:
    began = time.monotonic()
    with held(str(run), "x", EXPIRY_S) as lease:
        lease.check()
        return time.monotonic() - began


def test_a_holder_on_another_machine_that_was_killed_is_waited_out(tmp_path, holder):
    holder().process.kill()
    assert EXPIRY_S * 0.9 < seconds_to_get(tmp_path) < EXPIRY_S * 4


def test_a_holder_on_this_machine_that_was_killed_is_known_to_be_dead(tmp_path, holder):
    here = holder("here")
    here.process.kill()
    here.process.wait()
    assert seconds_to_get(tmp_path) < EXPIRY_S * 0.9


def test_a_holder_that_lives_is_not_overtaken(tmp_path, holder):
    other = holder()
    threading.Timer(EXPIRY_S * 4, other.process.stdin.close).start()
    assert seconds_to_get(tmp_path) > EXPIRY_S * 3.9


def test_a_holder_that_slept_too_long_asks_nothing_more(tmp_path, holder):
    other = holder()
    assert other.asks() == "may ask\n"
    other.process.send_signal(signal.SIGSTOP)
    assert seconds_to_get(tmp_path) > EXPIRY_S * 0.9
    other.process.send_signal(signal.SIGCONT)
    assert other.asks().startswith("lost: ")
    time.sleep(EXPIRY_S)
    assert other.asks().startswith("lost: ")  # it does not come back


def test_a_claim_that_was_taken_away_is_lost(tmp_path):
    with held(str(tmp_path), "x", EXPIRY_S) as lease:
        for claim in (tmp_path / "leases/x").iterdir():
            claim.unlink()
        time.sleep(EXPIRY_S / 2)
        with pytest.raises(LeaseLost):
            lease.check()


def test_who_does_not_want_to_wait_is_told_of_a_holder_that_lives(tmp_path, holder):
    other = holder()
    with pytest.raises(LeaseTaken, match=str(other.process.pid)), held(str(tmp_path), "x", EXPIRY_S, wait=False):
        pass


def test_who_does_not_want_to_wait_still_waits_out_the_dead(tmp_path, holder):
    holder().process.kill()
    with held(str(tmp_path), "x", EXPIRY_S, wait=False) as lease:
        lease.check()


def test_a_number_that_is_not_chosen_yet_is_waited_for():
    me = Claim("b", False, False, 2, 1, "", 1, "")
    assert me._replace(owner="c", choosing=True, number=0).stands_before(me)
    assert me._replace(owner="a").stands_before(me)  # the same number: the owner's name decides
    assert not me._replace(owner="c").stands_before(me)
    assert not me._replace(owner="a", shared=True).stands_before(me._replace(shared=True))


def test_the_dead_are_judged_by_the_own_clock():
    now = [0.0]
    watch = Watch(10, lambda: now[0])
    claim = Claim("a", False, False, 1, 1, "", 1, "")
    assert not watch.is_dead(claim, now[0])
    now[0] = 9
    assert not watch.is_dead(claim._replace(beat=2), now[0])
    assert watch.is_seen_alive(claim)
    now[0] = 18
    assert not watch.is_dead(claim._replace(beat=2), now[0])
    now[0] = 20
    assert not watch.is_dead(claim._replace(beat=2), 18)  # what was read at 18 says nothing of 20
    assert watch.is_dead(claim._replace(beat=2), now[0])


def test_this_process_is_no_corpse():
    claim = leases.new_claim(shared=False)
    assert claim.pid == os.getpid()
    assert not claim.is_provably_dead()
    assert claim._replace(born="1").is_provably_dead()  # its pid is used again
    assert not claim._replace(machine="another", born="1").is_provably_dead()


def test_work_whose_lease_is_lost_is_done_again_under_a_new_one(tmp_path):
    folders = []

    def work(lease):
        folders.append(len(list((tmp_path / "leases/x").glob("*.json"))))
        if len(folders) < 3:
            raise LeaseLost("the machine slept")
        return "done"

    assert while_held(str(tmp_path), "x", EXPIRY_S, work) == "done"
    assert all(1 <= claims <= 2 for claims in folders)  # one owner's, under one of its two names or both


def test_work_that_loses_every_lease_ends(tmp_path):
    takes = []

    def work(lease):
        takes.append(lease)
        raise LeaseLost("again")

    with pytest.raises(LeaseLost):
        while_held(str(tmp_path), "x", EXPIRY_S, work)
    assert len(takes) == 3


def test_clearing_waits_for_those_who_live_and_leaves_other_leases(tmp_path, holder):
    other = holder()
    with held(str(tmp_path), "y-1", EXPIRY_S):
        pass
    (tmp_path / "leases/lock-run").mkdir()
    threading.Timer(EXPIRY_S * 3, other.process.stdin.close).start()
    said = []
    began = time.monotonic()
    for prefix in ("x", "y-"):
        clear(str(tmp_path), prefix, EXPIRY_S, said.append)
    assert time.monotonic() - began > EXPIRY_S * 2.9
    assert [p.name for p in (tmp_path / "leases").iterdir()] == ["lock-run"]
    assert said == [f"waiting for an earlier attempt to end, or to be silent for {EXPIRY_S:g} s: x"]


def test_who_looks_sees_what_the_living_holders_have_under_way(tmp_path):
    run = str(tmp_path)

    def news() -> dict[str, tuple[int, int]]:
        return {name: (claim.busy, claim.done) for name, claim in leases.living(run, "fetch-")}

    with held(run, "fetch-1", EXPIRY_S) as one, held(run, "fetch-2", EXPIRY_S) as two:
        one.busy, two.busy = (lambda: 7), (lambda: 30)
        two.done = lambda: 400
        with held(run, "crawl-1", EXPIRY_S) as other:
            other.busy = lambda: 1000
            time.sleep(EXPIRY_S)  # a heartbeat or two
            assert news() == {"fetch-1": (7, 0), "fetch-2": (30, 400)}
        corpse = leases.new_claim(shared=False)._replace(born="1", busy=500, done=500)
        (tmp_path / "leases/fetch-1/dead.0.json").write_text(json.dumps(corpse._asdict()))
        assert news()["fetch-1"] == (7, 0)
    assert news() == {}
    assert leases.living(str(tmp_path / "nothing"), "fetch-") == []


def test_a_heartbeat_carries_news_and_costs_no_request_more(tmp_path, monkeypatch):
    """One claim is written a heartbeat, with whatever is done by then."""
    written = []
    publish = leases.storage.publish
    monkeypatch.setattr(leases.storage, "publish", lambda path, data: (written.append(data), publish(path, data))[1])
    with held(str(tmp_path), "fetch-1", EXPIRY_S) as lease:
        begun = len(written)
        lease.done = iter(range(1, 1_000)).__next__
        while len(written) < begun + 3:
            time.sleep(0.01)
    claims = [json.loads(data) for data in written[begun : begun + 3]]
    assert [claim["done"] for claim in claims] == [1, 2, 3]
    assert [claim["beat"] - claims[0]["beat"] for claim in claims] == [0, 1, 2]
