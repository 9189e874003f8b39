"""Fixtures: each way to carry bytes, and nodes on it."""

from collections.abc import Iterator

import pytest

from support.ways import WAYS, Cluster, Way, parameters


@pytest.fixture(params=parameters())
def way(request: pytest.FixtureRequest) -> Way:
    """Each way."""
    return WAYS[request.param]()


@pytest.fixture
def cluster(way: Way, nothing_left: None) -> Iterator[Cluster]:
    """Nodes on one way; closed at the end, when nothing of them may be left."""
    made = Cluster(way)
    yield made
    made.net.close()
