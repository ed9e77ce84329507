"""A worker process: Beam's own worker, which ends without a word when Ctrl-C or the end of its parent ends it.

Started by its name (`python -m pipeline.worker`); nothing imports it.
"""

import os
import runpy
import signal
import sys
import threading
import time

from pipeline.logs import WithoutTrouble, tell_errors_only

BEAM_WORKER = "apache_beam.runners.worker.sdk_worker_main"
POLL_S = 0.5


def end_with(parent: int) -> None:
    """Wait until the process `parent` is ours no more, then end."""
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stderr = WithoutTrouble(sys.stderr)
    tell_errors_only()
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    runpy.run_module(BEAM_WORKER, run_name="__main__", alter_sys=True)
