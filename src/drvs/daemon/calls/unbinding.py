"""Unbinding: of oneself, or of another living process."""

import signal
from typing import TYPE_CHECKING

from drvs.base import clock, limits
from drvs.base.codes import Code
from drvs.base.flags import Call
from drvs.daemon import mirrors, protocol
from drvs.daemon.bindings import Binding
from drvs.daemon.calls.checks import bound_endpoint, check_timeout
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.loop import Timer
from drvs.daemon.mirrors import Mirror
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.Unbind, Rights.ANYONE, call=Call.UNBIND)
def unbind(node: "Node", conn: "Connection", request: protocol.Unbind) -> Answer | None:
    """Unbind an endpoint: anybody its own, root every one. Waits while a copy or the VM's lock is in the way.

    Another process gets SIGPIPE, and its blocked call ends with SHUTDOWN.
    Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, ENDPOINT, NOTBIND, TIMEDOUT.
    """
    own = conn.process
    if own is None and not conn.is_root:
        raise Refused(Code.PERM, f"user {conn.peer.uid} may unbind its own endpoints only")
    vm = node.vm(request.vmid)
    check_timeout(request.timeout_ms)
    mirror = mirrors.find(vm, request.endpoint)
    if mirror is not None:
        return _unbind_mirror(node, conn, vm, mirror)
    binding = bound_endpoint(vm, request.endpoint, Code.ENDPOINT, Code.NOTBIND)
    if request.incarnation not in (0, binding.incarnation):
        raise Refused(Code.NOTBIND, f"endpoint {binding.endpoint} has another owner by now")
    if binding.process is not own and not conn.is_root:
        raise Refused(Code.PERM, f"endpoint {binding.endpoint} belongs to process {binding.process.pid}")
    if try_unbind(node, binding, by=conn.peer.pid):
        return done()
    if request.timeout_ms == 0:
        raise Refused(Code.AGAIN, f"the memory of endpoint {binding.endpoint} is being copied")
    Unbinding(node, conn, binding, request.timeout_ms)
    return None


def _unbind_mirror(node: "Node", conn: "Connection", vm: Vm, mirror: Mirror) -> Answer:
    """Forget a process of another node, here only: those who wait on it go on."""
    if not conn.is_root:
        raise Refused(Code.PERM, f"endpoint {mirror.endpoint} belongs to node {mirror.node}")
    mirrors.unbind(node, vm, mirror)
    return done()


def try_unbind(node: "Node", binding: Binding, by: int) -> bool:
    """Unbind it if no copy and no lock is in the way.

    Raises:
        Refused: by the region's code.
    """
    vm = binding.vm
    code = vm.judge(vm.region.unbind(binding.slot, binding.incarnation, lock_ms=vm.lock_ms))
    if code in (Code.ONCOPY, Code.TIMEDOUT):
        if code == Code.TIMEDOUT:
            node.watchdog.suspect(vm)
        return False
    if code not in (Code.OK, Code.NOTBIND):  # NOTBIND: a member damaged the slot, or unbound it by hand
        vm.check(code)
    vm.region.pay_debts(binding.slot)
    process = binding.process
    node.book.leave(binding)
    if process.pid != by:
        node.signal(process, signal.SIGPIPE)
    return True


class Unbinding:
    """An unbind that waits for a copy to end, or for a lock: it looks again until its time is over."""

    def __init__(self, node: "Node", conn: "Connection", binding: Binding, timeout_ms: int) -> None:
        self._node = node
        self._conn = conn
        self._binding = binding
        self._deadline = clock.deadline_after_ms(timeout_ms if timeout_ms >= 0 else limits.UNBIND_WAIT_MS)
        self._pause_ms = 1
        self._timer: Timer = node.loop.after_ms(self._pause_ms, self._again)
        conn.hold(self)

    def cancel(self) -> None:
        """The caller has gone."""
        self._timer.cancel()

    def _again(self) -> None:
        binding = self._binding
        if binding.record not in binding.process.bindings:  # it died, or its VM ended, meanwhile
            self._conn.answer({})
            return
        try:
            if try_unbind(self._node, binding, by=self._conn.peer.pid):
                self._conn.answer({})
            elif self._deadline is not None and clock.now_ns() >= self._deadline:
                self._conn.refuse(Code.TIMEDOUT, f"the memory of endpoint {binding.endpoint} is still being copied")
            else:
                self._pause_ms = min(2 * self._pause_ms, 20)
                self._timer = self._node.loop.after_ms(self._pause_ms, self._again)
        except Refused as error:
            self._conn.refuse(error.code, error.detail)
