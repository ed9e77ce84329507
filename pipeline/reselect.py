"""`pairmill select` and `pairmill pack`: decide again over a finished fetch, with no request and no GPU."""

import os
from typing import Any

from pipeline import config
from pipeline.run import run_stages
from transforms import storage


def reselect(run: str, name: str, stage: str, policy: str | None = None) -> None:
    """Run `select` or `pack` of the selection `name` by the run's own settings; a policy replaces its rules.

    Raises UsageError.
    """
    data = config.read_yaml(storage.join(run, "run.yaml"))
    if policy is not None:
        data["select"] = read_policy(policy)
    settings = config.with_absolute_paths(config.parse(data, policy or f"{run}/run.yaml"), (os.getcwd(),))
    run_stages(settings, run, name=name, first=stage, last=stage, keep_settings=True)


def read_policy(path: str) -> dict[str, Any]:
    """The `select` section of a policy file: the file may be a whole configuration, or the section alone."""
    data = config.read_yaml(path)
    return data.get("select", data)
