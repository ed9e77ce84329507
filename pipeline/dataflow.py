"""Dataflow: what a job needs to get there. See docs/dataflow.md."""

from filters.rules import Rules, operational


class DataflowSettings(Rules):
    """A Google Cloud project with Dataflow. Nothing here changes a row."""

    project: str = operational("")
    region: str = operational("")


def dataflow_options(settings: DataflowSettings, stage: str) -> list[str]:
    return []


def check_dataflow(settings: DataflowSettings, run: str) -> None:
    return
