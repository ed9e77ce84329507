"""The command line. Every command imports what it needs when it runs: `--help` must not wait for Beam or torch."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Literal

from pipeline import __version__
from pipeline.errors import FAILED, INTERRUPTED, PairmillError, UsageError
from pipeline.interrupt import ending_at_once, say_interrupted
from pipeline.logs import tell_errors_only
from trainer import arguments
from transforms.trouble import Trouble

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
STAGES = ("collect", "fetch", "score", "select", "pack")


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code: 0, 1, 2, 3 or 130."""
    tell_errors_only()  # some libraries tell at import what they did not find
    words = list(sys.argv[1:] if argv is None else argv)
    words, options = split_options(words)
    args = build_parser().parse_args(words)
    args.options = tuple(options)
    try:
        return args.command(args)
    except PairmillError as error:
        print(f"pairmill: {error}", file=sys.stderr)
        return error.exit_code
    except Trouble as error:
        print(f"pairmill: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        say_interrupted()
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def split_options(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after `--`: ours, and Beam's."""
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pairmill", description="Turns the web into image-text pairs for CLIP.")
    parser.add_argument("--version", action="version", version=f"pairmill {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run_commands(commands)
    _add_look_commands(commands)
    _add_trainer_commands(commands)
    return parser


def _command(commands, name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


def _add_run_commands(commands) -> None:
    run = _command(commands, "run", run_command, "run the stages of a configuration")
    _add_config(run)
    run.add_argument("--from", dest="first", choices=STAGES, help="begin here, and permit it to be done again")
    run.add_argument("--to", dest="last", choices=STAGES, default="pack", help="end here")
    run.add_argument("--part", type=slice_of, default=(0, 1), metavar="I/N", help="only slice I of N of the hosts")
    run.add_argument("--name", type=selection_name, default="main", help="of the selection (default: main)")
    plan = _command(commands, "plan", plan_command, "what a run would do; no work done")
    _add_config(plan)
    plan.add_argument("--json", action="store_true")
    select = _command(commands, "select", select_command, "another selection from the same images and scores")
    select.add_argument("run", metavar="RUN")
    select.add_argument("--policy", required=True, metavar="FILE", help="YAML with a `select:` section, or its rules")
    select.add_argument("--name", type=selection_name, required=True)
    pack = _command(commands, "pack", pack_command, "the shards of a selection")
    pack.add_argument("run", metavar="RUN")
    pack.add_argument("--name", type=selection_name, default="main")
    retry = _command(commands, "retry", retry_command, "ask again for what failed, and pack both")
    retry.add_argument("--reason", type=reasons, default=(), metavar="REASON,...",
                       help="default: all that another day may end otherwise")  # fmt: skip
    refresh = _command(
        commands, "refresh", refresh_command, "revalidate what was fetched; drop what is gone or changed"
    )
    for parser in (retry, refresh):
        parser.add_argument("run", metavar="RUN")
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="such as web.concurrency=64"
        )
    adopt = _command(commands, "adopt", adopt_command, "an img2dataset or webdataset folder becomes a finished fetch")
    adopt.add_argument("folder", metavar="FOLDER")
    adopt.add_argument("--run-dir", metavar="DIR", required=True)
    adopt.add_argument("--to", dest="last", choices=STAGES, default="fetch", help="end here")
    adopt.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as collect.adopt.name=cc12m"
    )
    _command(commands, "schema", schema_command, "JSON schema of the configuration")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a shipped configuration")
    parser.add_argument("--run-dir", metavar="DIR", help="default: runs/<name of the configuration>")
    parser.add_argument("--engine", metavar="NAME", help="a profile of configs/engines, or a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as fetch.image.size=256")


def _add_look_commands(commands) -> None:
    status = _command(commands, "status", status_command, "stages done, parts left, rates, time left")
    status.add_argument("run", metavar="RUN")
    status.add_argument("--json", action="store_true")
    why = _command(commands, "why", why_command, "the life of one pair")
    why.add_argument("run", metavar="RUN")
    why.add_argument("what", metavar="URL-OR-UID")
    why.add_argument("--name", type=selection_name, default="main")
    why.add_argument("--json", action="store_true")
    report = _command(commands, "report", report_command, "report.html, stats.json and the dataset card again")
    report.add_argument("run", metavar="RUN")
    report.add_argument("--name", type=selection_name, default="main")
    report.add_argument("--thumbnails", action="store_true")
    _add_inspect(commands)


def _add_inspect(commands) -> None:
    inspect = commands.add_parser("inspect", help="what the judgements say of one thing, as JSON lines")
    things = inspect.add_subparsers(required=True, metavar="THING")
    page = _command(things, "page", inspect_command, "the occurrences of a page; `-` reads JSON lines")
    page.add_argument("input", nargs="?", default="-", metavar="FILE-OR-URL")
    page.add_argument("--url", default="", help="of the page, where it is a file")
    image = _command(things, "image", inspect_command, "whether an image would be kept; `-` reads a path or url a line")
    image.add_argument("input", nargs="?", default="-", metavar="FILE-OR-URL")
    robots = _command(things, "robots", inspect_command, "what a robots.txt says; `-` reads JSON lines")
    robots.add_argument("input", nargs="?", default="-", metavar="FILE")
    robots.add_argument("agent", nargs="?", default="")
    robots.add_argument("url", nargs="?", default="")
    caption = _command(things, "caption", inspect_command, "language and drops of a caption; `-` reads lines")
    caption.add_argument("input", nargs="?", default="-", metavar="TEXT")
    for thing, parser in (("page", page), ("image", image), ("robots", robots), ("caption", caption)):
        parser.set_defaults(thing=thing)
        parser.add_argument("--config", default=None, help="judge by this configuration's settings")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")


def _add_trainer_commands(commands) -> None:
    for name, text, add in arguments.COMMANDS:
        add(_command(commands, name, trainer_command(name), text))


def trainer_command(name: str) -> Callable[[argparse.Namespace], int]:
    def command(args: argparse.Namespace) -> int:
        return arguments.run(name, args)

    return command


def selection_name(text: str) -> str:
    """A name that is also a folder's."""
    if NAME.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no name: expected letters, digits, - and _, such as strict_2")


def slice_of(text: str) -> tuple[int, int]:
    """`I/N` as two numbers, 0 ≤ I < N."""
    index, _, count = text.partition("/")
    if index.isdigit() and count.isdigit() and int(index) < int(count):
        return int(index), int(count)
    raise argparse.ArgumentTypeError(f"{text!r} is no slice: expected I/N with I from 0 to N-1, such as 0/2")


def run_command(args: argparse.Namespace) -> int:
    from pipeline import config, layout
    from pipeline.run import run_stages
    from pipeline.summary import print_summary

    settings = config.load(args.config, args.set, args.engine)
    run = args.run_dir or layout.default_run(args.config)
    with ending_at_once():
        complete = run_stages(settings, run, name=args.name, first=args.first, last=args.last, part=args.part,
                              options=args.options)  # fmt: skip

    print_summary(run, args.name, complete)
    return 0


def plan_command(args: argparse.Namespace) -> int:
    from pipeline import config, layout
    from pipeline.plan import plan_of, print_plan

    settings = config.load(args.config, args.set, args.engine)
    plan = plan_of(settings, args.run_dir or layout.default_run(args.config))
    print(json.dumps(plan, indent=2, ensure_ascii=False)) if args.json else print_plan(plan)
    return 0


def select_command(args: argparse.Namespace) -> int:
    return _again(args.run, args.name, "select", policy=args.policy)


def pack_command(args: argparse.Namespace) -> int:
    return _again(args.run, args.name, "pack")


def _again(run: str, name: str, stage: str, policy: str | None = None) -> int:
    """One of the cheap stages of a finished fetch, by the run's own settings and, for select, another policy."""
    from pipeline.again import run_again
    from pipeline.summary import print_summary

    with ending_at_once():
        run_again(check_run(run), name, stage, policy)
    print_summary(run, name, True)
    return 0


def reasons(text: str) -> tuple[str, ...]:
    """Comma-separated reasons as rows of images/ have them."""
    from filters.reasons import Reason

    found = tuple(sorted(set(text.split(","))))
    for reason in found:
        if reason not in set(Reason):
            raise argparse.ArgumentTypeError(
                f"{reason!r} is no reason; `pairmill report` shows a run's, such as timeout"
            )
    return found


def adopt_command(args: argparse.Namespace) -> int:
    from pipeline import config
    from pipeline.run import run_stages
    from pipeline.summary import print_summary
    from transforms import storage

    folder = storage.absolute(args.folder)
    settings = config.load("adopt", [f"collect.adopt.folder={json.dumps(folder)}", *args.set])
    with ending_at_once():
        run_stages(settings, args.run_dir, last=args.last, options=args.options)
    print_summary(args.run_dir, "main", True)
    return 0


def retry_command(args: argparse.Namespace) -> int:
    return _ask_again(args, "retry", args.reason)


def refresh_command(args: argparse.Namespace) -> int:
    return _ask_again(args, "refresh")


def _ask_again(args: argparse.Namespace, kind: Literal["retry", "refresh"], wanted: tuple[str, ...] = ()) -> int:
    from pipeline.rounds import ask_again
    from pipeline.summary import print_summary
    from transforms.rounds import Request

    with ending_at_once():
        ask_again(check_run(args.run), Request(kind, wanted), args.set, args.options)
    print_summary(args.run, "main", True)
    return 0


def check_run(run: str) -> str:
    """`run`, where it is a run directory. Raises UsageError."""
    from transforms import storage

    try:
        found = storage.exists(storage.join(run, "run.yaml"))
    except storage.StorageError as error:
        raise UsageError(str(error)) from error
    if not found:
        raise UsageError(f"{run}: no run directory (no run.yaml in it); give the folder that `pairmill run` wrote to")
    return run


def schema_command(args: argparse.Namespace) -> int:
    from pipeline import config

    print(json.dumps(config.schema(), indent=2))
    return 0


def status_command(args: argparse.Namespace) -> int:
    from pipeline.status import print_status, status_of

    status = status_of(check_run(args.run))
    print(json.dumps(status, indent=2)) if args.json else print_status(status)
    return 0


def why_command(args: argparse.Namespace) -> int:
    from pipeline.why import why_main

    return why_main(check_run(args.run), args.what, args.name, args.json)


def report_command(args: argparse.Namespace) -> int:
    from pipeline import layout
    from pipeline.report.report import write_report

    if not layout.is_selected(check_run(args.run), args.name):
        raise UsageError(f"{args.run}: no finished selection {args.name!r}; finish it with run or select first")
    write_report(args.run, args.name, args.thumbnails)
    print(f"{args.run}/report.html")
    return 0


def inspect_command(args: argparse.Namespace) -> int:
    from pipeline.inspect import inspect_main

    return inspect_main(args)
