"""A web as it is: every answer takes 200 ms, and one host in five is dead. How close a client comes to the ideal.

    python -m bench.fetch.slow_web FOLDER HOSTS    (the server alone, on loopback)

Of twenty hosts one takes connections and never answers, one is not there, one has nothing but 404, and one sends a
byte a second for a minute. The ideal is what no client that keeps Pairmill's default limits could beat, whatever its
own cost: all requests that were answered or timed out, spread over all that may be under way at once, but no less
than the longest chain of requests that one host needs one after the other. Start of the programs and CPU are not in it.
Both bounds are written down: where the chain is the longer one, the figure says how late a client is with the slowest
host, and nothing of how many it has under way.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.fetch.clients import PROCESSES, Outcome, img2dataset, pairmill
from bench.fetch.corpus import Corpus, write_table
from transforms.web.settings import WebSettings

SLOW_HOSTS, URLS_A_HOST = 500, 8
LATENCY_S, DRIP_S = 0.2, 60
PORT = 18082
DEAD = {0: "black hole", 1: "refused", 2: "missing", 3: "drip"}  # by the host's number modulo 20


def address(number: int) -> str:
    return f"127.10.{number // 250}.{number % 250 + 1}"


def fate(number: int) -> str:
    return DEAD.get(number % 20, "alive")


def measured(folder: Path, corpus: Corpus, ca_file: Path, scale: float, say: Any) -> dict[str, Any]:
    """Both clients over the same list, one after the other."""
    hosts = max(20, int(SLOW_HOSTS * scale))
    table = folder / "slow_web.parquet"
    names = corpus.names["web"]
    numbers = range(hosts * URLS_A_HOST)
    write_table(table, [f"http://{address(n % hosts)}:{PORT}/{n}/{names[n % len(names)]}" for n in numbers])
    bounds = bounds_s(hosts, WebSettings())
    ideal = max(bounds.values())
    found: dict[str, Any] = {"urls": len(numbers), "hosts": hosts, "ideal_s": round(ideal, 1)}
    found |= {name: round(bound, 1) for name, bound in bounds.items()}
    with serving(corpus.folder, hosts):
        for name, run in (
            ("pairmill", lambda place: pairmill(place, table, ca_file, ports=[PORT])),
            ("img2dataset", lambda place: img2dataset(place, table, ca_file)),
        ):
            found[name] = figures(run(folder / f"slow-{name}"), hosts, ideal)
            say(f"  {name}: {found[name]}")
    return found


def figures(outcome: Outcome, hosts: int, ideal: float) -> dict[str, Any]:
    """Every image of the hosts that live must be there."""
    alive = URLS_A_HOST * sum(fate(n) == "alive" for n in range(hosts))
    if outcome.kept != alive:
        raise SystemExit(f"{outcome.kept} of {alive} images were kept: {outcome}")
    return {"wall_s": outcome.cost.wall_s, "cpu_s": outcome.cost.cpu_s, "images": outcome.kept,
            "to_ideal": round(outcome.cost.wall_s / ideal, 3)}  # fmt: skip


def bounds_s(hosts: int, web: WebSettings) -> dict[str, float]:
    """What no client can beat. A host that is silent costs one deadline: its robots.txt is all that is asked of it."""
    turns_s = -(-URLS_A_HOST // web.images.at_once) * max(LATENCY_S, web.images.at_once * web.images.gap_s)
    chains = {
        "alive": 2 * LATENCY_S + turns_s,  # robots.txt and tdmrep.json
        "missing": LATENCY_S + turns_s,  # what is not there is not judged by tdmrep.json
        "black hole": web.timeouts.read_s,
        "drip": web.timeouts.total_s,
        "refused": 0.0,
    }
    requests = {"alive": (2 + URLS_A_HOST) * LATENCY_S, "missing": (1 + URLS_A_HOST) * LATENCY_S}
    fates = [fate(n) for n in range(hosts)]
    work_s = sum(requests.get(f, chains[f]) for f in fates)
    return {"work_at_once_s": work_s / (PROCESSES * web.concurrency), "longest_chain_s": max(chains[f] for f in fates)}


@contextlib.contextmanager
def serving(pictures: Path, hosts: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bench.fetch.slow_web", str(pictures), str(hosts)])
    try:
        last = max(n for n in range(hosts) if fate(n) == "alive")
        wait_for(f"http://{address(last)}:{PORT}/robots.txt")
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # a 404 is an answer
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class SlowWeb:
    """The pictures of a folder, at all hosts that are there."""

    def __init__(self, folder: Path) -> None:
        self._bodies = {path.name: path.read_bytes() for path in folder.glob("web-*.jpg")}

    async def serve(self, hosts: int) -> None:
        for number in range(hosts):
            if fate(number) != "refused":
                await asyncio.start_server(self._talk_as(fate(number)), address(number), PORT, backlog=1024)
        await asyncio.Event().wait()

    def _talk_as(self, how: str) -> Any:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(how, head.split(b" ")[1].decode(), reader, writer)
            writer.close()

        return talk

    async def _answer(self, how: str, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how == "black hole":
            await reader.read()  # until the other side has enough
            return
        await asyncio.sleep(LATENCY_S)
        body = self._bodies.get(path.rpartition("/")[2])
        if how == "drip":
            await drip(writer)
        elif how == "missing" or body is None:
            writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\nConnection: close\r\n\r\n")
    for _ in range(DRIP_S):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(SlowWeb(Path(sys.argv[1])).serve(int(sys.argv[2])))
