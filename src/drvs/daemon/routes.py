"""The route tables of the VMs: for each node one word in each region, which the core looks at before a call goes there.

noded computes it from its own tables. A VM whose lock does not come gets its words when the lock comes again.
"""

from typing import TYPE_CHECKING

from drvs.base.codes import Code
from drvs.base.flags import Route
from drvs.daemon.pairs import ring
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node

_PAIR_SHIFT = 16


class Routes:
    """Writes them, and ends what was under way on a road that is no more."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def word(self, vm: Vm, number: int) -> int:
        """Return what a region is to hold for a node."""
        peer = self._node.peers.known.get(number)
        word = int(Route.VM) if vm.nodes >> number & 1 else 0
        if peer is None:
            return word
        return word | (int(Route.CONNECTED) if peer.connected else 0) | (peer.px + 1) << _PAIR_SHIFT

    def changed(self, number: int, ended: Code | None = None) -> None:
        """Write the word of a node into all VMs; with a code, what is under way with it ends so."""
        for vm in list(self._node.vms.values()):
            self.write(vm, number, ended)

    def write(self, vm: Vm, number: int, ended: Code | None = None, unbind: bool = False) -> None:
        """Write one word; `ended` ends what is under way, `unbind` the processes of that node too.

        New calls are refused from the first step on, so the second one finds all there are.
        """
        if not vm.running:
            return
        code = vm.judge(vm.region.set_route(number, self.word(vm, number), lock_ms=vm.lock_ms))
        if code == Code.OK and ended is not None:
            code = vm.judge(vm.region.cut(number, int(ended), unbind, lock_ms=vm.lock_ms))
        if code == Code.TIMEDOUT:
            vm.when_free.append(lambda: self.write(vm, number, ended, unbind))
            self._node.watchdog.suspect(vm)

    def write_all(self, vm: Vm) -> None:
        """Write every word of a VM that is not empty: it is new, or noded is."""
        for number in range(self._node.size.nr_nodes):
            if vm.nodes >> number & 1 or number in self._node.peers.known:
                self.write(vm, number)

    def bury_proxy(self, vm: Vm, px: int) -> None:
        """Finish what a pair had begun that may have been killed in the middle, and let the others look anew."""
        if not vm.running:
            return
        if vm.judge(vm.region.bury_proxies(px, lock_ms=vm.lock_ms)) == Code.TIMEDOUT:
            vm.when_free.append(lambda: self.bury_proxy(vm, px))
            self._node.watchdog.suspect(vm)
        ring(vm.bell)
