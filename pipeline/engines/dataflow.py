"""Dataflow: what a job needs to get there, and what is refused before any work. See docs/dataflow.md.

Nothing here imports Beam: `pairmill --help` reads the settings too.
"""

import hashlib
import importlib
import re

from filters.rules import Rules, operational
from pipeline.errors import UsageError

STORE = "gs://"  # the one store that Dataflow itself reads and writes
NEEDED = {
    "project": "YOUR_PROJECT",
    "region": "europe-west1",
    "temp_location": "gs://YOUR_BUCKET/tmp",
    "image": "REGISTRY/YOUR_PROJECT/pairmill:VERSION",
}
CLIENTS = ("google.cloud.dataflow", "google.cloud.storage", "gcsfs")
# https://cloud.google.com/resource-manager/docs/labels-overview#requirements, without letters beyond ASCII
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
MAX_RUN_LETTERS = 30  # of a run's name in a job's name: the whole stays a valid label, of 63


class DataflowSettings(Rules):
    """A Google Cloud project with Dataflow. Nothing here changes a row."""

    project: str = operational("")  # Google Cloud project that pays
    region: str = operational("")  # where the workers run, such as europe-west1
    temp_location: str = operational("")  # gs://BUCKET/FOLDER, for what Dataflow itself writes down
    image: str = operational("")  # of the workers, built from deploy/dataflow; it holds the driver's very version
    service_account: str = operational("")  # e-mail of the workers' account; "" is the project's default
    network: str = operational("")  # of the workers; "" is the project's default
    subnetwork: str = operational("")  # regions/REGION/subnetworks/NAME
    labels: dict[str, str] = operational({})  # for the bill


def dataflow_options(settings: DataflowSettings, stage: str, run: str = "") -> list[str]:
    """Beam options of the job of one stage."""
    given = {
        "project": settings.project,
        "region": settings.region,
        "temp_location": settings.temp_location,
        "staging_location": f"{settings.temp_location.rstrip('/')}/staging",
        "job_name": job_name(stage, run),
        "sdk_container_image": settings.image,
        "sdk_location": "container",  # Beam and Pairmill are in the image: nothing is uploaded or installed at a start
        "service_account_email": settings.service_account,
        "network": settings.network,
        "subnetwork": settings.subnetwork,
    }
    labels = {"pairmill-stage": stage, **settings.labels}
    return [
        *(f"--{name}={value}" for name, value in given.items() if value),
        *(f"--labels={key}={value}" for key, value in labels.items()),
    ]


def job_name(stage: str, run: str) -> str:
    """The same for the same stage of a run: Dataflow refuses the second of two that run at the same time.

    A driver that was killed leaves its job running, and is started again.
    """
    words = re.sub(r"[^a-z0-9]+", "-", run.rstrip("/").rpartition("/")[2].lower()).strip("-")[:MAX_RUN_LETTERS]
    digest = hashlib.sha256(run.encode()).hexdigest()[:8] if run else ""
    return "-".join(word for word in ("pairmill", words.strip("-"), digest, stage) if word)


def check_dataflow(settings: DataflowSettings, run: str) -> None:
    """What can be known before any work. Raises UsageError naming the key and the remedy."""
    for key, example in NEEDED.items():
        if not getattr(settings, key):
            raise UsageError(f"engine.dataflow.{key} is empty: --set engine.dataflow.{key}={example}")
    if not settings.temp_location.startswith(STORE):
        raise UsageError(f"engine.dataflow.temp_location = {settings.temp_location}: expected {STORE}BUCKET/FOLDER")
    if not run.startswith(STORE):
        raise UsageError(f"--run-dir {run}: Dataflow's workers cannot see it; give {STORE}BUCKET/FOLDER")
    check_labels(settings.labels)
    check_clients()


def check_labels(labels: dict[str, str]) -> None:
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
            raise UsageError(f"engine.dataflow.labels: {key}={value} is no label: expected at most 63 small letters, "
                             "digits, - and _, the key beginning with a letter")  # fmt: skip


def check_clients() -> None:
    """Google's libraries are an extra of their own: they double the time that Beam takes to import."""
    for name in CLIENTS:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"engine.runner = DataflowRunner needs {name} ({error}): "
                             "pip install 'pairmill[dataflow]'") from error  # fmt: skip
