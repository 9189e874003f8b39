"""A noded for each module, a VM for each test; and endpoints without a noded, for what needs no management."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

import drvs
from drvs import core
from drvs.api.endpoint import Endpoint
from support import children, guide, nodes


class LoneVm:
    """Stands in for a VM: binds into a region directly, and unbinds there."""

    def __init__(self, nr_procs: int = 60) -> None:
        self.fd = os.memfd_create("drvs-test")
        core.Region.format(self.fd, nr_procs=nr_procs, name="lone")
        self.region = core.Region(self.fd)
        self.name = "lone"
        self.id = 0
        self.node = self
        self._slots = itertools.count(self.region.nr_sysprocs)

    def bind(self, name: str = "") -> Endpoint:
        """Bind the test process to the next free user slot."""
        slot = next(self._slots)
        code, number, incarnation = self.region.bind(slot, os.getpid(), os.getpid(), 0, 0, 0, name)
        assert code == 0
        endpoint = Endpoint(self.region, slot, incarnation, number)
        endpoint.vm, endpoint.name, endpoint._blocks = self, name, set()
        return endpoint

    def _unbind_own(self, endpoint: Endpoint) -> None:
        self.region.unbind(endpoint.slot, endpoint.incarnation)


@pytest.fixture
def lone_vm() -> Iterator[LoneVm]:
    """A VM that only this process knows."""
    vm = LoneVm()
    yield vm
    os.close(vm.fd)


@pytest.fixture
def bind(lone_vm: LoneVm) -> Callable[..., Endpoint]:
    """bind(name='') -> Endpoint, in a VM that only this process knows."""
    return lone_vm.bind


@pytest.fixture(scope="module")
def shared_node() -> Iterator[nodes.RunningNode]:
    """A noded that the tests of a module share."""
    with guide.node_of_a_module() as running:
        yield running


@pytest.fixture
def node(shared_node: nodes.RunningNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[drvs.Node]:
    """The shared node, which is also the one that the environment chooses."""
    monkeypatch.setenv("DRVS_RUNTIME_DIR", os.fspath(shared_node.runtime_dir))
    with drvs.connect() as connection:
        yield connection


@pytest.fixture
def vm(node: drvs.Node) -> Iterator[drvs.VM]:
    """A VM of this test's own."""
    with node.create_vm("lab") as vm:
        yield vm
        children.close_all()
