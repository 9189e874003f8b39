"""A member that overwrites random words of its VM hurts nobody but that VM (csrc/test/rogue.c)."""

import os

import pytest

from fault import programs


def seed() -> str:
    """Of this run: DRVS_SEED, or a random one that a failure names."""
    return os.environ.get("DRVS_SEED") or str(int.from_bytes(os.urandom(3), "little"))


def test_a_rogue_member_hurts_nobody_else() -> None:
    programs.run("rogue", "4000", seed())


@pytest.mark.slow
def test_a_hundred_thousand_corruptions() -> None:
    programs.run("rogue", "100000", seed(), timeout=1200)
