"""A worker process: Beam's own worker, which ends without a word when Ctrl-C or the end of its parent ends it.

`python -m pipeline.engines.workers.main` beside a local run; `pairmill-worker --id=ID --provision_endpoint=HOST:PORT`
where a cluster starts it (Beam's boot contract for PROCESS and DOCKER environments). On a cluster it refuses to work,
before any work, where its version is not the driver's or where it cannot use the run directory.
"""

import argparse
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.engines.workers.handshake import OTHER_VERSION, RUN_NOT_SEEN, Probe, own_version
from pipeline.engines.workers.logs import tell_the_run
from pipeline.engines.workers.parent_guard import wait_for
from pipeline.interrupt import last_words
from pipeline.logs import TracebackFilter, log_errors_only
from transforms.coordination.fatal import FatalError

BEAM_WORKER = "apache_beam.runners.worker.sdk_worker_main"
PROVISION_TIMEOUT_S = 60
EXECUTOR = b"CoarseGrainedExecutorBackend"


def end_with(parent: int) -> None:
    """Wait until the process `parent` is ours no more, then end."""
    wait_for(parent, lambda: False)
    os._exit(1)


def main(argv: Sequence[str] | None = None) -> None:
    """The console script `pairmill-worker`, and the module's own command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stderr = TracebackFilter(sys.stderr)
    log_errors_only()
    args = parser().parse_known_args(argv)[0]
    if args.provision_endpoint and not args.supervised:
        sys.exit(supervise(args))
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    if args.provision_endpoint:
        check_contract(provision(args.id, args.provision_endpoint))
    runpy.run_module(BEAM_WORKER, run_name="__main__", alter_sys=True)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pairmill-worker", description="A worker of a cluster; Beam starts it.")
    parser.add_argument("--id", default="")
    parser.add_argument("--provision_endpoint", default="")
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    return parser


def supervise(args: argparse.Namespace) -> int:
    """Beam's worker as a child of ours; its exit code. If something kills it, its executor goes with it.

    Spark keeps workers for the next step of a job, and goes on to use the connection of one that is dead until all
    attempts of a task are used up. An executor that is gone it replaces.
    """
    executor = os.getppid()
    words = [f"--id={args.id}", f"--provision_endpoint={args.provision_endpoint}", "--supervised"]
    asked_to_end = threading.Event()
    with subprocess.Popen([sys.executable, "-m", "pipeline.engines.workers.main", *words]) as child:

        def end_child(number: int, frame: object) -> None:
            asked_to_end.set()
            child.terminate()

        signal.signal(signal.SIGTERM, end_child)
        threading.Thread(target=end_with, args=(executor,), daemon=True).start()
        code = child.wait()
    if code < 0 and not asked_to_end.is_set() and is_executor(executor):
        os.kill(executor, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def is_executor(pid: int) -> bool:
    """Whether a process is a Spark executor's, and no job server or agent that has more to do."""
    try:
        return EXECUTOR in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def provision(worker: str, endpoint: str) -> Mapping[str, Any]:
    """Ask the runner where its services are, and put them where Beam's worker looks; the job's options."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2 as messages
    from apache_beam.portability.api import beam_provision_api_pb2_grpc as services
    from google.protobuf import json_format

    with grpc.insecure_channel(endpoint) as channel:
        stub = services.ProvisionServiceStub(channel)
        request = messages.GetProvisionInfoRequest()
        answer = stub.GetProvisionInfo(request, metadata=[("worker_id", worker)], timeout=PROVISION_TIMEOUT_S)
    options = json_format.MessageToJson(answer.info.pipeline_options)
    os.environ |= {
        "WORKER_ID": worker,
        "CONTROL_API_SERVICE_DESCRIPTOR": descriptor(answer.info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": descriptor(answer.info.logging_endpoint),
        "PIPELINE_OPTIONS": options,
        "RUNNER_CAPABILITIES": " ".join(answer.info.runner_capabilities),
        "SEMI_PERSISTENT_DIRECTORY": tempfile.gettempdir(),
    }
    if answer.info.status_endpoint.url:
        os.environ["STATUS_API_SERVICE_DESCRIPTOR"] = descriptor(answer.info.status_endpoint)
    return json.loads(options)


def descriptor(endpoint: Any) -> str:
    from google.protobuf import text_format

    return text_format.MessageToString(endpoint)


def check_contract(options: Mapping[str, Any]) -> None:
    """End with the code that says to the driver why, where this worker must not work for it."""
    probe = Probe.from_options(options)
    if probe is None:
        return
    if probe.version != own_version():
        end(OTHER_VERSION, f"pairmill-worker: the driver is {probe.version}, this worker is {own_version()}")
    try:
        probe.check()
        tell_the_run(probe.run)
    except FatalError as error:
        end(RUN_NOT_SEEN, f"pairmill-worker: {error}")


def end(code: int, message: str) -> None:
    try:
        last_words(f"{message}\n")
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
