"""The order of fetching: which task owns a host, how its hosts interleave, where one part ends. Pure."""

from collections.abc import Iterable, Iterator

from transforms.records import Candidate, PlanRow


def tasks_for(rows: int, rows_per_task: int) -> int:
    """How many tasks a plan of `rows` has. Never a function of the number of workers."""
    return max(1, -(-rows // rows_per_task))


def plan_rows(candidates: Iterable[tuple[str, Candidate]], rows_per_part: int) -> list[PlanRow]:
    """One task's (host, candidate) pairs in the order of asking: hosts in turn, each host's rows by uid."""
    hosts: dict[str, list[Candidate]] = {}
    for host, candidate in candidates:
        hosts.setdefault(host, []).append(candidate)
    queues = [iter(sorted(hosts[host], key=lambda c: c.uid)) for host in sorted(hosts)]
    return [PlanRow(place // rows_per_part, candidate) for place, candidate in enumerate(in_turn(queues))]


def in_turn(queues: list[Iterator[Candidate]]) -> Iterator[Candidate]:
    """One of each queue, again and again, until all are empty."""
    while queues:
        left = []
        for queue in queues:
            candidate = next(queue, None)
            if candidate is not None:
                yield candidate
                left.append(queue)
        queues = left


def stem(round_: int, task: int, part: int | None = None) -> str:
    """The common name of a part's files: `0000-00002-00013`; without `part`, the task's plan."""
    return f"{round_:04d}-{task:05d}" + ("" if part is None else f"-{part:05d}")
