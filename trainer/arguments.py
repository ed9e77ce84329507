"""The arguments of the readers' commands. Imports nothing heavy: `--help` must be quick."""

import argparse
import importlib
import sys
from collections.abc import Callable

from trainer.errors import TrainerError

Add = Callable[[argparse.ArgumentParser], None]


def run(name: str, args: argparse.Namespace) -> int:
    """Run the command `name`; what a person can mend is one line and exit code 1, 2 or 3."""
    module = {"search": f"trainer.search.{getattr(args, 'action', '')}"}.get(name, f"trainer.{name}")
    try:
        return importlib.import_module(module).main(args)
    except TrainerError as error:
        print(f"pairmill: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"pairmill: {name}: {error}; mend that and run again", file=sys.stderr)
        return 3
    except ModuleNotFoundError as error:
        print(f"pairmill: {name} needs {error.name}: pip install 'pairmill[all]'", file=sys.stderr)
    return 2


def validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", metavar="SHARDS", help="a folder of shards")
    parser.add_argument("--jobs", type=int, default=1, help="shards checked at once")


def train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", metavar="SHARDS")
    parser.add_argument("--out", required=True, metavar="MODEL", help="the folder that receives the model")
    parser.add_argument("--model", metavar="CONFIG",
                        help="tiny (default), an open_clip name, or a folder with open_clip_config.json")  # fmt: skip
    parser.add_argument("--init", default="", metavar="MODEL", help="begin with these weights")
    parser.add_argument("--steps", type=int, help="default: as many as --seconds or --epochs allow, else 2000")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--seconds", type=float, dest="max_seconds", metavar="SECONDS",
                        help="end after so long; the learning rate follows the clock")  # fmt: skip
    parser.add_argument("--batch", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--threads", type=int, help="default: as many as there are cores")
    parser.add_argument("--held-out", type=float, metavar="SHARE", help="of the samples; default 0.05")
    parser.add_argument("--flip", action="store_true", default=None, help="mirror images; captions may say left")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


def evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("shards", metavar="SHARDS")
    parser.add_argument("--classes", metavar="FILE", help='JSON: [{"name", "prompts": [...], "words": [...]}, ...]')
    parser.add_argument("--limit", type=int, default=5_000, help="samples to look at (default: 5000)")
    parser.add_argument("--seed", type=int, default=0, help="which samples")
    parser.add_argument("--held-out", type=float, metavar="SHARE", help="only the samples that train held out")
    parser.add_argument("--pretrained", default="", metavar="TAG", help="where MODEL is an open_clip name")
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    parser.add_argument("--must-beat-chance", action="store_true", help="exit code 1 where retrieval is no better")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


def search(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="index|query|serve")
    index = actions.add_parser("index", help="embed the images of SHARDS")
    index.add_argument("shards", metavar="SHARDS")
    index.add_argument("--model", required=True, metavar="MODEL")
    index.add_argument("--pretrained", default="", metavar="TAG", help="where MODEL is an open_clip name")
    index.add_argument("--out", required=True, metavar="INDEX")
    index.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    query = actions.add_parser("query", help="the images nearest to a text")
    query.add_argument("index", metavar="INDEX")
    query.add_argument("text", metavar="TEXT")
    query.add_argument("--k", type=int, default=10)
    query.add_argument("--json", action="store_true")
    query.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    serve = actions.add_parser("serve", help="a search page on this machine")
    serve.add_argument("index", metavar="INDEX")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8765)
    serve.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))


COMMANDS: tuple[tuple[str, str, Add], ...] = (
    ("validate", "whether shards are sound; each finding names shard and key", validate),
    ("train", "train a CLIP on shards", train),
    ("evaluate", "retrieval and zero-shot figures of a model on shards", evaluate),
    ("search", "image search by text", search),
)
