"""the shards of a selection"""

import argparse

from pipeline.arguments import add_run, check_run, selection_name
from pipeline.interrupt import ending_at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--name", type=selection_name, default="main")


def run(args: argparse.Namespace) -> int:
    from pipeline.reselect import reselect
    from pipeline.ui.summary import print_summary

    with ending_at_once():
        reselect(check_run(args.run), args.name, "pack")
    print_summary(args.run, args.name, True)
    return 0
