"""Calls that wait for somebody to bind or to unbind."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from drvs.base import clock
from drvs.base.codes import Code
from drvs.base.flags import Call
from drvs.daemon import mirrors, protocol
from drvs.daemon.bindings import Binding
from drvs.daemon.calls.binding import answer_bound
from drvs.daemon.calls.checks import check_name, check_timeout, is_endpoint
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.mirrors import Mirror
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm
from drvs.daemon.waits import endpoint_key, gone_key, name_key, process_key

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.Wait4Bind, Rights.ANYONE, call=Call.WAIT4BIND)
def wait4bind(node: "Node", conn: "Connection", request: protocol.Wait4Bind) -> Answer | None:
    """Wait until the caller is bound; at once if it is, which is how a new image finds its binding after exec.

    Codes: DRVSINIT, BADPID, AGAIN, TIMEDOUT.
    """
    check_timeout(request.timeout_ms)
    if conn.peer.pid == 0:
        raise Refused(Code.BADPID, "the caller lives in another pid namespace than noded")
    present = _own(conn, request.vmid)
    if present is not None:
        return answer_bound(node, present, request.region)

    deadline = clock.deadline_after_ms(request.timeout_ms)
    key, what = process_key(conn.peer.pid), f"process {conn.peer.pid} is not bound"

    def answer(binding: Binding) -> None:
        if conn.process is binding.process and request.vmid in (None, binding.vm.vmid):
            conn.answer(*answer_bound(node, binding, request.region))
            return
        left_ms = -1 if deadline is None else max(1, (deadline - clock.now_ns()) // clock.NS_PER_MS)
        node.waits.add(conn, key, left_ms, answer, what)  # another VM's: go on waiting

    node.waits.add(conn, key, request.timeout_ms, answer, what)
    return None


def _own(conn: "Connection", vmid: int | None) -> Binding | None:
    process = conn.process
    if process is None:
        return None
    if vmid is None:
        return process.main
    return next((b for b in process.bindings.values() if b.vm.vmid == vmid and b is process.main), None)


@handles(protocol.Wait4BindEp, Rights.MEMBER, call=Call.WAIT4BIND)
def wait4bindep(node: "Node", conn: "Connection", request: protocol.Wait4BindEp) -> Answer | None:
    """Wait until an endpoint is bound. Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, ENDPOINT, AGAIN, TIMEDOUT."""
    vm = node.vm(request.vmid)
    check_timeout(request.timeout_ms)
    if not is_endpoint(vm, request.endpoint):
        raise Refused(Code.ENDPOINT, f"no slot of {vm.text()} can have endpoint {request.endpoint}")
    if is_bound(vm, request.endpoint):
        return done(endpoint=request.endpoint)
    what = f"endpoint {request.endpoint} is not bound in {vm.text()}"
    node.waits.add(conn, endpoint_key(vm.serial, request.endpoint), request.timeout_ms, _tell_endpoint(conn), what)
    return None


@handles(protocol.Wait4Unbind, Rights.MEMBER, call=Call.WAIT4BIND)
def wait4unbind(node: "Node", conn: "Connection", request: protocol.Wait4Unbind) -> Answer | None:
    """Wait until an endpoint is not bound. Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, ENDPOINT, AGAIN, TIMEDOUT."""
    vm = node.vm(request.vmid)
    check_timeout(request.timeout_ms)
    if not is_endpoint(vm, request.endpoint):
        raise Refused(Code.ENDPOINT, f"no slot of {vm.text()} can have endpoint {request.endpoint}")
    if not is_bound(vm, request.endpoint):
        return done(endpoint=request.endpoint)
    what = f"endpoint {request.endpoint} is still bound in {vm.text()}"
    node.waits.add(conn, gone_key(vm.serial, request.endpoint), request.timeout_ms, _tell_endpoint(conn), what)
    return None


@handles(protocol.Lookup, Rights.MEMBER)
def lookup(node: "Node", conn: "Connection", request: protocol.Lookup) -> Answer | None:
    """Find an endpoint by name. Codes: PERM, DRVSINIT, INVAL, VMNOTRUN, NAMETOOLONG, NOTBIND (timeout 0), TIMEDOUT."""
    vm = node.vm(request.vmid)
    check_timeout(request.timeout_ms)
    check_name(request.name, "name", Code.INVAL)
    if not request.name:
        raise Refused(Code.INVAL, "the empty name is nobody's")
    present = vm.names.get(request.name) or mirrors.named(vm, request.name) or node.directory.find(vm, request.name)
    if present is not None:
        return done(endpoint=present.endpoint)
    what = f"nobody in {vm.text()} has the name {request.name!r}"
    if request.timeout_ms == 0:
        raise Refused(Code.NOTBIND, what)
    node.waits.add(conn, name_key(vm.serial, request.name), request.timeout_ms, _tell_endpoint(conn), what)
    return None


def is_bound(vm: Vm, endpoint: int) -> bool:
    """Say whether somebody has an endpoint, here or on another node."""
    return vm.find(endpoint) is not None or mirrors.find(vm, endpoint) is not None


def _tell_endpoint(conn: "Connection") -> Callable[[Binding | Mirror], None]:
    return lambda binding: conn.answer({"endpoint": binding.endpoint})
