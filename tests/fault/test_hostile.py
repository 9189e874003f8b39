"""Whatever another node sends, the VM stays sound: records of plausible parts, often spoilt (csrc/test/hostile.c)."""

import pytest

from fault import programs
from fault.test_rogue import seed


def test_hostile_records() -> None:
    programs.run("hostile", "30000", seed(), sanitizer="address")


@pytest.mark.slow
def test_millions_of_hostile_records() -> None:
    programs.run("hostile", "5000000", seed(), sanitizer="address", timeout=1200)
