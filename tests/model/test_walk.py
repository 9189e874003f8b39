"""Random walks through the model and the core together."""

import os

import pytest

from model.walk import walk_for

LENGTH = 150


def first_seed() -> int:
    """DRVS_SEED, or a random one."""
    return int(os.environ.get("DRVS_SEED") or int.from_bytes(os.urandom(4), "little"))


def test_random_walks() -> None:
    first = first_seed()
    walk_for(range(first, first + 120), LENGTH)


@pytest.mark.slow
def test_many_random_walks() -> None:
    first = first_seed()
    walk_for(range(first, first + 6000), LENGTH)
