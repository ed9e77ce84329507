"""report.NAME.html, stats.NAME.json and the dataset card again"""

import argparse

from pipeline.arguments import add_run, check_run, selection_name
from pipeline.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--name", type=selection_name, default="main")
    parser.add_argument("--thumbnails", action="store_true")


def run(args: argparse.Namespace) -> int:
    from pipeline.report.report import write_report
    from transforms import run_dir

    if not run_dir.is_selected(check_run(args.run), args.name):
        raise UsageError(f"{args.run}: no finished selection {args.name!r}; finish it with run or select first")
    write_report(args.run, args.name, args.thumbnails)
    print(run_dir.report(args.run, args.name))
    return 0
