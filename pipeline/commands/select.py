"""another selection from the same images and scores"""

import argparse

from pipeline.arguments import add_run, check_run, selection_name
from pipeline.interrupt import ending_at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--policy", required=True, metavar="FILE", help="YAML with a `select:` section, or its rules")
    parser.add_argument("--name", type=selection_name, required=True)


def run(args: argparse.Namespace) -> int:
    from pipeline.reselect import reselect
    from pipeline.ui.summary import print_summary

    with ending_at_once():
        reselect(check_run(args.run), args.name, "select", args.policy)
    print_summary(args.run, args.name, True)
    return 0
