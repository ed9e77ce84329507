"""One cluster and one object store for all tests of this folder."""

import sys
from pathlib import Path

import pytest
from helpers.s3 import serving_s3

sys.path.insert(0, str(Path(__file__).parent))

from cluster import spark_cluster


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """Its credentials are in the environment of the cluster's workers, as an administrator puts them there."""
    with serving_s3(tmp_path_factory.mktemp("s3") / "store") as server:
        yield server


@pytest.fixture(scope="session")
def cluster(s3):
    with spark_cluster(s3.environment) as started:
        yield started
