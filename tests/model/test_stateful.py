"""Random steps, in the model and in the core. A failure prints the steps as a program that repeats it."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from model.machine import Machine

COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
    "report_multiple_bugs": False,
    "phases": (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
}
QUICK = settings(max_examples=150, stateful_step_count=60, **COMMON)
LONG = settings(max_examples=int(os.environ.get("DRVS_MODEL_EXAMPLES", "4000")), stateful_step_count=120, **COMMON)


def test_the_core_does_what_the_model_says() -> None:
    run_state_machine_as_test(Machine, settings=QUICK)


@pytest.mark.slow
@pytest.mark.deadline(1800)
def test_the_core_does_what_the_model_says_for_long() -> None:
    run_state_machine_as_test(Machine, settings=LONG)
