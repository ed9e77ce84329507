"""The funnel as a person reads it in a terminal."""

from typing import Any

from rich.table import Table

SHOWN_REASONS = 6


def funnel_table(stats: dict[str, Any]) -> Table:
    """A row a step: what came in, what went on, and why the rest did not."""
    table = Table(title=f"funnel of {stats['name']}")
    for column in ("stage", "step", "unit"):
        table.add_column(column)
    for column in ("in", "out", "merged"):
        table.add_column(column, justify="right")
    table.add_column("dropped", overflow="fold")
    for step in stats["funnel"]:
        counts = [f"{step[key]:,}" if step[key] or key != "merged" else "" for key in ("rows_in", "rows_out", "merged")]
        table.add_row(step["stage"], step["step"], step["unit"], *counts, reasons_text(step["rejects"]))
    return table


def reasons_text(rejects: dict[str, int]) -> str:
    """The most frequent reasons with their counts."""
    ordered = sorted(rejects.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{reason} {n:,}" for reason, n in ordered[:SHOWN_REASONS]]
    rest = sum(n for _, n in ordered[SHOWN_REASONS:])
    return ", ".join([*shown, f"other {rest:,}"] if rest else shown)


def lost_text(lost_bytes: int, lost_records: int) -> str:
    """What damage to archives cost, as words."""
    return f"about {lost_records:,} {'record' if lost_records == 1 else 'records'}, {lost_bytes:,}"
