"""A SIGKILL at any instruction leaves an operation done or not done, and nobody asleep for ever (see killer.c)."""

import os

import pytest

from fault import programs


def test_random_instructions() -> None:
    seed = os.environ.get("DRVS_SEED") or str(int.from_bytes(os.urandom(2), "little"))
    programs.run("killer", "--sample", "8", "--seed", seed)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", programs.scenario_names())
def test_every_instruction(scenario: str) -> None:
    programs.run("killer", scenario, timeout=1500)
