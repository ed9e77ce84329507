"""an img2dataset or webdataset folder becomes a finished fetch"""

import argparse
import json

from pipeline.arguments import STAGES, add_set
from pipeline.interrupt import ending_at_once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--run-dir", metavar="DIR", required=True)
    parser.add_argument("--to", dest="last", choices=STAGES, default="fetch", help="end here")
    add_set(parser, "collect.adopt.name=cc12m")


def run(args: argparse.Namespace) -> int:
    from pipeline import config
    from pipeline.run import run_stages
    from pipeline.ui.summary import print_summary
    from transforms import storage

    folder = storage.absolute(args.folder)
    settings = config.load("adopt", [f"collect.adopt.folder={json.dumps(folder)}", *args.set])
    with ending_at_once():
        run_stages(settings, args.run_dir, last=args.last, options=args.options)
    print_summary(args.run_dir, "main", True)
    return 0
