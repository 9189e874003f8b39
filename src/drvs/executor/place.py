"""Where an executor lives: a VM of its own, on the node that runs here, or else on a private node.

A private node has a scratch directory, which noded removes when it ends; it ends when told to, and with its owner.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile

from drvs.api import VM, Endpoint, Node
from drvs.base.errors import DrvsError
from drvs.base.limits import MAX_COPY_LEN
from drvs.daemon import launch

_counter = itertools.count(1)
#: Slots beside those of the workers: the executor's own, and of workers that die while others start.
SPARE_SLOTS = 64
TASKS = 4
SPIN_US = 50


class PlaceInUse:
    """The VM of one executor and its two endpoints.

    Attributes:
        private: whether the node is the executor's own.
    """

    def __init__(self, workers: int) -> None:
        self.private = False
        self._vm = self._on_running_node(workers) or self._on_private_node(workers)
        try:
            self.inlet: Endpoint = self._vm.bind(spin_us=SPIN_US)
            self.outlet: Endpoint = self._vm.bind(spin_us=SPIN_US)
        except BaseException:
            self._end_node()
            raise

    @property
    def runtime_dir(self) -> str:
        """Where workers find noded."""
        return self._vm.node.runtime_dir

    @property
    def vmid(self) -> int:
        """The VM's number on its node."""
        return int(self._vm.id)

    def _on_running_node(self, workers: int) -> VM | None:
        node = Node()
        try:
            if node.info().nr_procs >= workers + SPARE_SLOTS:
                return _create(node, workers)
        except DrvsError:
            pass  # there is none, or it is not ours to use
        node.close()
        return None

    def _on_private_node(self, workers: int) -> VM:
        self.private = True
        folder = tempfile.mkdtemp(prefix="drvs-ex-")
        if len(folder) > 80:  # a socket's address has 107 bytes
            os.rmdir(folder)
            folder = tempfile.mkdtemp(prefix="drvs-ex-", dir="/tmp")
        size = {
            "nr_vms": 1, "nr_nodes": 1, "nr_procs": workers + SPARE_SLOTS, "nr_tasks": TASKS, "nr_sysprocs": TASKS,
            "copy_len_max": MAX_COPY_LEN,
        }  # fmt: skip
        try:
            launch.up(folder, node=0, size=size, owner=os.getpid())
        except BaseException:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
            raise
        return _create(Node(folder), workers)

    def end(self) -> None:
        """Give everything back."""
        for endpoint in (self.inlet, self.outlet):
            with contextlib.suppress(DrvsError):
                endpoint.unbind()
        with contextlib.suppress(DrvsError):
            self._vm.end()
        self._end_node()

    def _end_node(self) -> None:
        node = self._vm.node
        node.close()
        if self.private:
            with contextlib.suppress(DrvsError):
                launch.down(node.runtime_dir)


def _create(node: Node, workers: int) -> VM:
    return node.create_vm(f"x{os.getpid()}-{next(_counter)}"[:15], nr_procs=workers + SPARE_SLOTS)
