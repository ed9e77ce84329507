"""`python -m pipeline.demo`: serve the generated web, print its truth, check a run against it, make its model."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.demo.settings import DemoSettings

MODEL = Path(__file__).parent / "model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 the check failed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    defaults = DemoSettings()
    parser = argparse.ArgumentParser(prog="python -m pipeline.demo", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--pages", type=int, default=defaults.pages)
    common.add_argument("--seed", type=int, default=defaults.seed)
    commands = parser.add_subparsers(required=True)

    def add(name, run, help):
        command = commands.add_parser(name, parents=[common], help=help)
        command.set_defaults(run=run)
        return command

    serve = add("serve", _serve, "serve the web on 127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="0: any free one, which is printed")
    serve.add_argument("--log", type=Path, help="a line for every request: time host path status")
    serve.add_argument("--seconds", type=float, help="end after so many; four hours otherwise")
    serve.add_argument("--parent", type=int, metavar="PID", help="end when this parent process does")
    add("seeds", _seeds, "print the urls that a crawl starts from")
    add("truth", _truth, "write what should become of every image").add_argument("file", type=Path)
    add("warc", _warc, "write pages and images as WARC").add_argument("file", type=Path)
    add("check", _check, "compare a run with the truth").add_argument("run_dir", type=Path, metavar="RUN")
    add("search", _search, "search a run's shards and judge by the truth").add_argument(
        "run_dir", type=Path, metavar="RUN"
    )
    model = commands.add_parser("model", help="train the demo's model anew and measure it")
    model.add_argument("--out", type=Path, default=MODEL)
    model.add_argument("--work", type=Path, required=True, help="folder for the training pairs")
    model.add_argument("--pairs", type=int, default=None, help="fewer than usual, for a try")
    model.add_argument("--epochs", type=int, default=None)
    model.set_defaults(run=_model)
    return parser


def _settings(options: argparse.Namespace) -> DemoSettings:
    return DemoSettings(pages=options.pages, seed=options.seed)


def _serve(options: argparse.Namespace) -> int:
    from pipeline.demo.server import MAX_LIFE_S, serve

    serve(_settings(options), options.port, options.log, options.parent, options.seconds or MAX_LIFE_S)
    return 0


def _seeds(options: argparse.Namespace) -> int:
    from pipeline.demo.web import seeds

    print("\n".join(seeds(_settings(options))))
    return 0


def _truth(options: argparse.Namespace) -> int:
    import pyarrow.parquet as pq

    from pipeline.demo.truth import truth

    pq.write_table(truth(_settings(options)), options.file)
    return 0


def _warc(options: argparse.Namespace) -> int:
    from pipeline.demo.warc import write_warc

    print(f"{write_warc(options.file, _settings(options))} records in {options.file}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from pipeline.demo.check import check_run, table

    try:
        lines, wrong = check_run(options.run_dir, _settings(options))
    except OSError as error:
        print(f"{options.run_dir}: no finished run: {error}", file=sys.stderr)
        return 2
    print(table(lines))
    for sentence in wrong:
        print(f"wrong: {sentence}")
    print("the run differs from the truth" if wrong else "the run agrees with the truth; the funnel sums")
    return 1 if wrong else 0


def _search(options: argparse.Namespace) -> int:
    from pipeline.demo.search_check import check_search

    return check_search(options.run_dir, _settings(options), MODEL)


def _model(options: argparse.Namespace) -> int:
    from pipeline.demo.build_model import build_model

    return build_model(options.out, options.work, options.pairs, options.epochs)
