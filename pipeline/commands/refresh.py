"""revalidate what was fetched; drop what is gone or changed"""

import argparse

from pipeline.arguments import add_run, add_set, check_run
from pipeline.interrupt import ending_at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_set(parser, "web.concurrency=64")


def run(args: argparse.Namespace) -> int:
    from pipeline.retry import ask_again
    from pipeline.ui.summary import print_summary
    from transforms.rounds import Request

    with ending_at_once():
        ask_again(check_run(args.run), Request("refresh"), args.set, args.options)
    print_summary(args.run, "main", True)
    return 0
