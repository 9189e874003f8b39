"""Fixtures: each way to carry bytes, and nodes on it; two nodes of one machine, joined."""

from collections.abc import Iterator

import pytest

from support.nodes import RunningNode
from support.two_nodes import Joined, joined, two_nodes
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


@pytest.fixture(scope="module")
def running() -> Iterator[list[RunningNode]]:
    """Two nodes for all tests of a module."""
    with two_nodes() as both:
        yield both


@pytest.fixture
def pair(running: list[RunningNode]) -> Iterator[Joined]:
    """A VM that both have, joined."""
    with joined(running) as both:
        yield both
