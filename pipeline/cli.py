"""The command line. A command is a file of `pipeline/commands/`, or an entry point of another distribution."""

import argparse
import ast
import errno
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from pipeline import __version__, commands
from pipeline.errors import FAILED, INTERRUPTED, PairmillError, UsageError
from pipeline.interrupt import say_interrupted
from pipeline.logs import ToWhoeverReads, log_errors_only
from transforms.coordination.fatal import FatalError

GROUP = "pairmill.commands"
# What the system says of a path that a user gave.
ABOUT_A_PATH = frozenset({errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM})


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code: 0, 1, 2, 3 or 130."""
    log_errors_only()  # some libraries tell at import what they did not find
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # the console script: the stream is ours
        sys.stderr = ToWhoeverReads(sys.stderr)
    words, options = split_options(words)
    try:
        args = build_parser(words).parse_args(words)
        args.options = tuple(options)
        return args.command(args)
    except PairmillError as error:
        print(f"pairmill: {error}", file=sys.stderr)
        return error.exit_code
    except FatalError as error:
        print(f"pairmill: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        say_interrupted()
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in ABOUT_A_PATH or error.filename is None:
            raise
        print(
            f"pairmill: {error.filename}: {error.strerror}; name another path, or let this user use it", file=sys.stderr
        )
        return UsageError.exit_code


def split_options(words: list[str]) -> tuple[list[str], list[str]]:
    """What comes before and after `--`: ours, and Beam's."""
    if "--" not in words:
        return words, []
    index = words.index("--")
    return words[:index], words[index + 1 :]


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for `words`: every command has its help text, but only the one asked for is imported.

    Raises UsageError where a command of another distribution cannot be imported.
    """
    parser = argparse.ArgumentParser(prog="pairmill", description="Turns the web into image-text pairs for CLIP.")
    parser.add_argument("--version", action="version", version=f"pairmill {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    asked = next((word for word in words if not word.startswith("-")), None)
    own = {file.stem: help_text(file) for file in Path(commands.__path__[0]).glob("[!_]*.py")}
    for name, text in sorted(own.items()):
        command = subparsers.add_parser(name, help=text, description=text)
        if name == asked:
            add_command(command, importlib.import_module(f"{commands.__name__}.{name}"))
    if asked in own:
        return parser  # looking through every installed distribution is slow
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name not in own:
            module = load(entry)
            text = (module.__doc__ or entry.value).strip().splitlines()[0]
            add_command(subparsers.add_parser(entry.name, help=text, description=text), module)
    return parser


def help_text(file: Path) -> str:
    """The first line of a command's docstring, read without importing what the command needs."""
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]


def add_command(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    module.add_arguments(parser)
    parser.set_defaults(command=module.run)


def load(entry: EntryPoint) -> ModuleType:
    """A command of another distribution. Raises UsageError."""
    try:
        module = entry.load()
    except ImportError as error:
        owner = entry.dist.name if entry.dist else "its distribution"
        raise UsageError(
            f"command {entry.name}: {entry.value} cannot be imported ({error}); mend or uninstall {owner}"
        ) from error
    missing = [name for name in ("add_arguments", "run") if not callable(getattr(module, name, None))]
    if missing:
        raise UsageError(f"command {entry.name}: {entry.value} has no function {' and no '.join(missing)}")
    return module
