"""ask again for what failed, and pack both"""

import argparse

from pipeline.arguments import add_run, add_set, check_run, reasons
from pipeline.interrupt import ending_at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--reason", type=reasons, default=(), metavar="REASON,...",
                        help="default: all that another day may end otherwise")  # fmt: skip
    parser.add_argument("--pages", action="store_true",
                        help="ask failed pages of a crawl again, follow their links, fetch what is new")  # fmt: skip
    add_set(parser, "web.concurrency=64")


def run(args: argparse.Namespace) -> int:
    from pipeline.retry import ask_again, ask_pages_again
    from pipeline.ui.summary import print_summary
    from transforms.rounds import Request

    with ending_at_once():
        if args.pages:
            ask_pages_again(check_run(args.run), args.reason, args.set, args.options)
        else:
            ask_again(check_run(args.run), Request("retry", args.reason), args.set, args.options)
    print_summary(args.run, "main", True)
    return 0
