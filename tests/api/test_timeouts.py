"""Seconds become milliseconds without ending early."""

import math

import pytest

from drvs.api.timeouts import to_milliseconds


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(None, -1), (math.inf, -1), (0, 0), (0.0001, 1), (1, 1000), (2.0001, 2001), (1e12, 2**31 - 1)],
)
def test_seconds_become_milliseconds(seconds, milliseconds):
    assert to_milliseconds(seconds) == milliseconds


@pytest.mark.parametrize("wrong", [-1, -0.001, math.nan])
def test_no_timeout_is_negative(wrong):
    with pytest.raises(ValueError, match="timeout"):
        to_milliseconds(wrong)
