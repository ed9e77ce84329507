"""The demo on a real Spark cluster: the same bytes as on one machine, wherever the run directory is."""

import shutil
from pathlib import Path

import pytest
from cluster import Cluster
from helpers.command import demo_words, pairmill

from transforms import storage

LABELS = ("collect", "fetch", "score", "select.main", "pack.main")
ONE_EXECUTOR = {"properties__spark__cores__max": "1"}  # half the processes to start
FINAL = ("shards/main/manifest.json", *(f"manifest/{label}.json" for label in LABELS))


def check_same(run: Path, finished: Path) -> None:
    for name in FINAL:
        assert (run / name).read_bytes() == (finished / name).read_bytes(), name
    for folder in ("images", "candidates", "selection/main", "shards/main"):
        assert names(run / folder) == names(finished / folder), folder  # nothing that no commit names


def collected(finished: Path, run: Path) -> Path:
    """A run directory in which `collect` is done."""
    return done(finished, run, "collect", "candidates", "pages", "rejects")


def done(finished: Path, run: Path, stage: str, *folders: str) -> Path:
    """Add what a stage made to a run directory."""
    for folder in folders:
        shutil.copytree(finished / folder, run / folder)
    (run / "manifest").mkdir(exist_ok=True)
    for path in (finished / "manifest").glob(f"{stage}.*"):
        shutil.copy(path, run / "manifest")
    return run


def files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if p.is_file()}


@pytest.mark.timeout(600)
def test_the_whole_demo(cluster, finished, tmp_path, digest_of_folder):
    run = tmp_path / "run"
    outcome = pairmill(*demo_words(run, *cluster.words()), env=cluster.environment, timeout_s=500)
    assert outcome.code == 0, outcome.err
    check_same(run, finished)
    assert digest_of_folder(run / "shards") == digest_of_folder(finished / "shards")
    assert (run / "logs/job-server.log").read_text().count("Submitted application") == 1  # executors stay for the run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_the_demo_on_an_object_store(cluster, s3, finished, whole, tmp_path, monkeypatch):
    """All of it, or from what was collected on."""
    run = s3.folder / f"demo-{whole}"
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    for path in [] if whole else files(collected(finished, tmp_path)):
        storage.publish(f"{s3.url}/{run.name}/{path.relative_to(tmp_path)}", path.read_bytes())
    words = demo_words(f"{s3.url}/{run.name}", *cluster.words(**ONE_EXECUTOR))
    outcome = pairmill(*words, env=cluster.environment, timeout_s=500)
    assert outcome.code == 0, outcome.err
    check_same(run, finished)


def submitting(cluster: Cluster) -> list[str]:
    return cluster.words("spark-submit", submit=str(Path(cluster.home) / "bin" / "spark-submit"), **ONE_EXECUTOR)


@pytest.mark.timeout(600)
def test_job_jars_through_spark_submit(cluster, finished, tmp_path):
    """`select` and `pack`; the jars of the other stages are made and sent as these are: `make soak` has them all."""
    run = collected(finished, tmp_path / "run")
    done(finished, run, "fetch", "images")
    done(finished, run, "score")
    outcome = pairmill(*demo_words(run, *submitting(cluster)), env=cluster.environment, timeout_s=500)
    assert outcome.code == 0, outcome.err
    check_same(run, finished)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_whole_demo_as_job_jars_through_spark_submit(cluster, finished, tmp_path):
    outcome = pairmill(*demo_words(tmp_path / "run", *submitting(cluster)), env=cluster.environment, timeout_s=800)
    assert outcome.code == 0, outcome.err
    check_same(tmp_path / "run", finished)
