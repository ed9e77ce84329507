"""JSON schema of the configuration"""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    from pipeline import config

    print(json.dumps(config.schema(), indent=2))
    return 0
