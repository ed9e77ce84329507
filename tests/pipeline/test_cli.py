"""The command line itself: quick, complete, and with the exit codes that it promises."""

import re
import subprocess
import sys

import pytest
from helpers.command import pairmill

from pipeline import __version__
from pipeline.arguments import STAGES
from pipeline.cli import build_parser, main, split_options
from pipeline.errors import DataError, RunError, UsageError

COMMANDS = ("run", "plan", "select", "pack", "schema", "status", "why", "report", "inspect", "validate", "train",
            "evaluate", "search")  # fmt: skip
HEAVY = ("apache_beam", "torch", "pyarrow", "numpy", "aiohttp", "PIL", "open_clip", "pydantic", "rich")


def test_help_is_quick_and_names_every_command():
    outcomes = [pairmill("--help") for _ in range(5)]
    assert {outcome.code for outcome in outcomes} == {0}
    assert min(outcome.seconds for outcome in outcomes) <= 0.5
    assert [name for name in COMMANDS if not re.search(rf"^ +{name} ", outcomes[0].out, re.MULTILINE)] == []


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["train", "--help"], ["search", "query", "--help"]])
def test_help_imports_nothing_heavy(words):
    code = f"""
import sys
from pipeline.cli import main
try:
    main({words!r})
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"
    assert "usage: pairmill" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 3


def test_the_version():
    outcome = pairmill("--version")
    assert (outcome.code, outcome.out.strip()) == (0, f"pairmill {__version__}")


@pytest.mark.parametrize(
    "words", [[], ["inspect"], ["search"], ["repeat", "run"], ["--nonsense"], ["run", "demo", "x"]]
)
def test_wrong_usage_is_exit_2(words):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2


@pytest.mark.parametrize(("error", "code"), [
    (DataError("unsound"), 1), (UsageError("no such key"), 2), (RunError("disk full"), 3), (KeyboardInterrupt(), 130),
])  # fmt: skip
def test_what_goes_wrong_is_one_line_and_an_exit_code(monkeypatch, capfd, error, code):
    def fail(args):
        raise error

    monkeypatch.setattr("pipeline.commands.schema.run", fail)
    assert main(["schema"]) == code
    said = capfd.readouterr().err.strip()
    assert said == f"pairmill: {error}" if code != 130 else said.startswith("pairmill: interrupted")


def test_options_after_two_dashes_are_beams():
    assert split_options(["run", "demo", "--", "--a=1", "--", "b"]) == (["run", "demo"], ["--a=1", "--", "b"])
    assert split_options(["run", "demo"]) == (["run", "demo"], [])


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    """`pairmill schema | head -1`"""
    command = f"{pairmill_path()} schema | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def pairmill_path() -> str:
    from helpers.command import PAIRMILL

    return str(PAIRMILL)


def test_every_option_has_a_help_text_or_a_plain_name():
    """`--set` and its like are explained wherever they stand."""
    (commands,) = [action for action in build_parser(["run"])._actions if action.choices and "run" in action.choices]
    run = commands.choices["run"].format_help()
    for word in ("--run-dir", "--engine", "--set", "--from", "--to", "--part", "--name"):
        assert word in run


def test_the_stages_of_the_arguments_are_those_of_the_pipeline():
    from pipeline.stages import STAGE_NAMES

    assert STAGES == STAGE_NAMES


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """`installed(code)`: a distribution with one module and a command `count` in it, as an installer leaves it."""

    def install(code: str) -> None:
        (tmp_path / "counting.py").write_text(code)
        info = tmp_path / "counting-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[pairmill.commands]\ncount = counting\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    return install


COUNT = '''"""how many files a run has"""
import os

def add_arguments(parser):
    parser.add_argument("run")

def run(args):
    print(sum(len(files) for _, _, files in os.walk(args.run)), *args.options)
    return 7
'''


def test_a_command_from_outside_the_package(installed, tmp_path):
    installed(COUNT)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/a").touch()
    outcome = pairmill("count", str(tmp_path / "run"), "--", "more")
    assert (outcome.code, outcome.out) == (7, "1 more\n")
    assert re.search("^ +count +how many files a run has$", pairmill("--help").out, re.MULTILINE)


@pytest.mark.parametrize(("code", "said"), [
    ("import nothing_of_that_name", "counting cannot be imported (No module named 'nothing_of_that_name')"),
    ("def run(args): return 0", "counting has no function add_arguments"),
])  # fmt: skip
def test_a_command_from_outside_that_does_not_work(installed, code, said):
    installed(code)
    outcome = pairmill("count")
    assert outcome.code == 2
    assert f"pairmill: command count: {said}" in outcome.err
    assert "Traceback" not in outcome.err
    assert pairmill("schema").code == 0
