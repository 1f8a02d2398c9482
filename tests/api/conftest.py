"""A pool from the record, for the tests of the Python API."""

import pytest

import tune_paddy as tp
from tests.conftest import Finished


@pytest.fixture(scope="package")
def pool(finished: Finished) -> tp.Pool:
    return tp.load_pool("first", tracking_uri=finished.store.tracking_uri)
