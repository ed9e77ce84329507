"""The order of fetching: which task owns a host, how its hosts interleave, where one part ends. Pure."""

from collections.abc import Iterable, Iterator

from filters.url import host_of
from transforms.fetch.again import was_redirected_away
from transforms.records import Candidate, PlanRow

LEASES = "fetch-"  # what the names of a fetch's leases begin with


def tasks_for(rows: int, rows_per_task: int) -> int:
    """How many tasks a plan of `rows` has. Never a function of the number of workers."""
    return max(1, -(-rows // rows_per_task))


def unplanned(candidate: Candidate) -> PlanRow:
    """A row that is in no part yet, whose page's host was not asked yet."""
    return PlanRow(0, candidate, None, None, "", None)


def start_of(row: PlanRow) -> str:
    """The url that is asked first: the candidate's own, or where an earlier round was led."""
    if row.before is not None and was_redirected_away(row.before):
        return row.before.final_url or row.candidate.url
    return row.candidate.url


def plan_rows(rows: Iterable[PlanRow], rows_per_part: int) -> list[PlanRow]:
    """One task's rows in the order of asking: hosts in turn, each host's rows by uid."""
    hosts: dict[str, list[PlanRow]] = {}
    for row in rows:
        hosts.setdefault(host_of(start_of(row)), []).append(row)
    queues = [iter(sorted(hosts[host], key=lambda row: row.candidate.uid)) for host in sorted(hosts)]
    return [row._replace(part=index // rows_per_part) for index, row in enumerate(in_turn(queues))]


def in_turn(queues: list[Iterator[PlanRow]]) -> Iterator[PlanRow]:
    """One of each queue, again and again, until all are empty."""
    while queues:
        left = []
        for queue in queues:
            row = next(queue, None)
            if row is not None:
                yield row
                left.append(queue)
        queues = left
