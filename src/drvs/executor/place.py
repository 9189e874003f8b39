"""Where an executor lives: a VM of its own, on the node that runs here, or else by itself.

A VM by itself is a node of one VM without a noded: its region is made by the caller and inherited by the spawner.
Workers bind themselves (`seat`); the spawner, who reaps them anyway, unbinds those that die (`burial`). Nobody else
can reach it, it has no name in the file system, and it is gone with the last process that maps it.
"""

from __future__ import annotations

import contextlib
import itertools
import os

from drvs.api import VM, Node
from drvs.base import paths
from drvs.base.errors import DrvsError, make_error
from drvs.base.limits import COPY_BUF, MAX_COPY_LEN
from drvs.core import Endpoint
from drvs.core._core import VM_ENDED
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import VmLimits, make_region
from drvs.executor import seat

_counter = itertools.count(1)
#: Slots beside those of the workers: the executor's own, and of workers that die while others start.
SPARE_SLOTS = 64
#: Notifications that may wait: those of the outlet, which are one.
NOTES = 8

#: runtime_dir, number, inlet: a `seat.Place` without its spawner
Address = tuple[str, int, int]


class OnNode:
    """A VM on a node that runs.

    Attributes:
        inlet, outlet: the executor's endpoints in it.
        region: no descriptor for the spawner to inherit.
    """

    region: int | None = None

    def __init__(self, vm: VM) -> None:
        self._vm = vm
        try:
            self.inlet: Endpoint = vm.bind(spin_us=seat.SPIN_US)
            self.outlet: Endpoint = vm.bind(spin_us=seat.SPIN_US)
        except BaseException:
            self.end()
            raise

    @property
    def address(self) -> Address:
        """Where workers find it."""
        return self._vm.node.runtime_dir, int(self._vm.id), self.inlet.endpoint

    def end(self) -> None:
        """Give everything back; who still is in it wakes up."""
        with contextlib.suppress(DrvsError):
            self._vm.end()
        self._vm.node.close()


class ByItself:
    """A VM without a node.

    Attributes:
        inlet, outlet: the executor's endpoints in it.
        region: the descriptor of its memory, which the spawner inherits under the same number.

    Raises:
        DrvsError: there is no memory for it.
    """

    def __init__(self, workers: int) -> None:
        size = VmLimits(
            workers + SPARE_SLOTS, seat.SYSTEM_SLOTS, seat.SYSTEM_SLOTS, NOTES, MAX_COPY_LEN, COPY_BUF, 1, 1
        )  # fmt: skip
        try:
            self.region, self._memory = make_region(0, 0, _name(), os.geteuid(), size)
        except Refused as problem:
            raise make_error(problem.code, "create_vm", detail=problem.detail) from None
        self.inlet = seat.bind(self._memory, seat.INLET)
        self.outlet = seat.bind(self._memory, seat.OUTLET)

    @property
    def address(self) -> Address:
        """Where workers find it."""
        return "", self.region, self.inlet.endpoint

    def end(self) -> None:
        """Give everything back; who still is in it wakes up."""
        self._memory.end(VM_ENDED)
        os.close(self.region)


AnyPlace = OnNode | ByItself


def found(workers: int) -> AnyPlace:
    """Return a place for an executor of so many workers.

    Raises:
        DrvsError, OSError: there is none.
    """
    return _on_running_node(workers) or ByItself(workers)


def _on_running_node(workers: int) -> OnNode | None:
    node = Node()
    if os.path.exists(os.path.join(node.runtime_dir, paths.SOCKET)):
        try:
            if node.info().nr_procs >= workers + SPARE_SLOTS:
                return OnNode(node.create_vm(_name(), nr_procs=workers + SPARE_SLOTS))
        except DrvsError:
            pass  # it has ended, or is not ours to use
    node.close()
    return None


def _name() -> str:
    return f"x{os.getpid()}-{next(_counter)}"[:15]
