"""run the stages of a configuration"""

import argparse

from pipeline.arguments import STAGES, add_config, selection_name, slice_of
from pipeline.interrupt import ending_at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--from", dest="first", choices=STAGES, help="begin here, and permit it to be done again")
    parser.add_argument("--to", dest="last", choices=STAGES, default="pack", help="end here")
    parser.add_argument("--part", type=slice_of, default=(0, 1), metavar="I/N", help="only slice I of N of the hosts")
    parser.add_argument("--name", type=selection_name, default="main", help="of the selection (default: main)")


def run(args: argparse.Namespace) -> int:
    from pipeline import config
    from pipeline.run import run_stages
    from pipeline.ui.summary import print_summary
    from transforms import run_dir

    settings = config.load(args.config, args.set, args.engine)
    folder = args.run_dir or run_dir.default_run(args.config)
    with ending_at_once():
        complete = run_stages(settings, folder, name=args.name, first=args.first, last=args.last, part=args.part,
                              options=args.options)  # fmt: skip
    print_summary(folder, args.name, complete)
    return 0
