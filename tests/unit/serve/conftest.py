"""One server of a tiny ranker for the tests of a module."""

import pytest

from tests.helpers.serving import LIMITS, running, tiny_ranker


@pytest.fixture(scope="module")
def ranker():
    return tiny_ranker()


@pytest.fixture(scope="module")
def url(ranker):
    with running(ranker, ("tiny", "rerank-tiny"), limits=LIMITS) as server:
        yield server.url
