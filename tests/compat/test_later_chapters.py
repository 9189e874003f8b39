"""Calls of chapter 6 exist, and say that they are still to come."""

import inspect

import pytest

import canonical_map
from drvs.compat import mnx

TO_COME = sorted(name for name in canonical_map.SYMBOLS_TO_COME if name.startswith("mnx_"))


@pytest.mark.parametrize("name", TO_COME)
def test_a_call_that_is_still_to_come_answers_nosys(name):
    call = getattr(mnx, name)
    assert call(*[0] * len(inspect.signature(call).parameters)) == mnx.EMOLNOSYS
    assert mnx.mnx_errno() == mnx.EMOLNOSYS
