"""What every test may use: records filled with plausible values, and the engine in one process."""

import fcntl
import hashlib
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # helpers that several folders share
# A shell starts its background jobs with SIGINT ignored, and commands under test would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT / "tests", ROOT)))  # worker processes unpickle them

from helpers import command, samples  # noqa: E402

# Its deadline and its idea of slowness are wall time, which other processes of the machine decide.
hypothesis_settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("ours")


def pytest_make_parametrize_id(val, argname):
    """Binary values are named by their argument: gzip's hold the time of day, and workers must collect the same names."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def make():
    """The builders of records."""
    return samples


@pytest.fixture
def digest_of_folder():
    """SHA-256 over the names and bytes of a folder's files, recursively."""

    def digest(folder: Path) -> str:
        whole = hashlib.sha256()
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            whole.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
        return whole.hexdigest()

    return digest


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The run directory of one finished, undisturbed run of the small demo. To be read only."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished-once"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first test process makes it, the others copy it
        if not (shared / "report.html").exists():
            outcome = command.pairmill(*command.demo_words(shared))
            assert outcome.code == 0, outcome.err
    return shutil.copytree(shared, tmp_path_factory.mktemp("finished") / "run", copy_function=shutil.copy2)


@pytest.fixture
def finished_copy(finished, tmp_path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "copy" / "run", copy_function=shutil.copy2))


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """`call(*words)`: the outcome of a command, in this process (quick) and in the test's own directory.

    An exception that is not for a person fails the test.
    """
    from pipeline.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*words) -> command.Outcome:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # argparse's way
            code = end.code
        said = capsys.readouterr()
        return command.Outcome(code, said.out, said.err, 0.0)

    return run
