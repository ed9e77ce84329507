"""Runs a command that must not outlive the process that asked for it.

    python -m pipeline.engines.workers.parent_guard COMMAND ...

A driver that is killed has no time to end its job server; this process sees its parent go and ends it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

POLL_S = 0.5


def wait_for(parent: int, is_over: Callable[[], bool]) -> bool:
    """Wait until `is_over`, or until the process `parent` is not our parent any more; True where it is gone."""
    while not is_over():
        if os.getppid() != parent:
            return True
        time.sleep(POLL_S)
    return False


def run(command: list[str]) -> int:
    """The exit code of the command, which is ended with us and with our parent."""
    parent = os.getppid()
    with subprocess.Popen(command) as child:
        signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is our parent's to judge
        if wait_for(parent, lambda: child.poll() is not None):
            child.kill()
    return child.returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
