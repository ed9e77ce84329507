"""JSON schema of the configuration"""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    from pipeline.settings_page import schema

    print(json.dumps(schema(), indent=2))
    return 0
