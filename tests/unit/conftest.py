"""Fixtures for tests of the core alone: a region without a daemon."""

from collections.abc import Iterator

import pytest

from drvs.core import Endpoint, Region, _core
from support.regions import FIRST_USER_SLOT, CoreError, bind, make_region


@pytest.fixture
def region() -> Region:
    """A fresh VM with the guide's limits."""
    return make_region(vmid=7, node=3, name="lab")


@pytest.fixture
def core_errors() -> Iterator[None]:
    """The core raises CoreError during the test."""
    before = _core.set_error_factory(CoreError)
    yield
    _core.set_error_factory(before)


@pytest.fixture
def server(region: Region, core_errors: None) -> Endpoint:
    """An endpoint of this process in the first user slot."""
    return bind(region, FIRST_USER_SLOT, "server")


@pytest.fixture
def client(region: Region, core_errors: None) -> Endpoint:
    """An endpoint of this process in the second user slot."""
    return bind(region, FIRST_USER_SLOT + 1, "client")
