"""The core under the compiler's sanitizers: all operations, threads at once, and transitions on damaged regions."""

import pytest

from fault import programs
from fault.test_rogue import seed


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_every_operation(sanitizer: str) -> None:
    programs.run("smoke", "3", sanitizer=sanitizer)


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_threads_at_once(sanitizer: str) -> None:
    programs.run("threads", "5000", sanitizer=sanitizer)


def test_damaged_regions_are_never_left() -> None:
    programs.run("fuzz", "10000", seed(), sanitizer="address")


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_every_operation_often(sanitizer: str) -> None:
    programs.run("smoke", "2000", sanitizer=sanitizer, timeout=900)


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_threads_for_long(sanitizer: str) -> None:
    programs.run("threads", "300000", sanitizer=sanitizer, timeout=900)


@pytest.mark.slow
def test_damaged_regions_for_long() -> None:
    programs.run("fuzz", "500000", seed(), sanitizer="address", timeout=1200)
