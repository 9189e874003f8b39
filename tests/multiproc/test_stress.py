"""Processes that talk and die at random: no lost wake-up, no answer to the wrong caller, tables always sound."""

import os

import pytest

from multiproc.town import town


def seed() -> int:
    """DRVS_SEED, or a random one that failures name."""
    return int(os.environ.get("DRVS_SEED") or int.from_bytes(os.urandom(3), "little"))


def live_and_die(size: int, deaths: int) -> None:
    with town(size, seed()) as place:
        for death in range(deaths):
            place.kill_one()
            place.check()
            if death % 10 == 0:
                place.wait_for_calls(size)
                place.find_lost_wakeups()
        place.find_lost_wakeups()
        place.check_lateness()
        place.end()


def test_a_few_processes_and_a_hundred_and_fifty_deaths() -> None:
    live_and_die(12, 150)


@pytest.mark.slow
def test_sixty_four_processes_and_two_thousand_deaths() -> None:
    live_and_die(64, 2000)
