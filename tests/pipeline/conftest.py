"""The command line called in this process: quick, and an exception that is not for a person fails the test."""

import pytest
from helpers.command import Outcome

from pipeline.cli import main


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """`call(*words)`: the outcome of the command, in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # argparse's way
            code = end.code
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err, 0.0)

    return run
