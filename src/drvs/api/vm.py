"""VM: an isolated set of processes that can talk to each other."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from drvs.api import binding
from drvs.api.binding import new_cookie
from drvs.api.endpoint import Endpoint
from drvs.api.info import ProcessInfo, VmInfo
from drvs.api.privileges import Privileges, from_reply, to_fields
from drvs.api.timeouts import to_milliseconds
from drvs.base.errors import DrvsError, NotBound, NotRunning
from drvs.base.ids import EndpointId, VmId
from drvs.base.limits import SPIN_US

if TYPE_CHECKING:
    from drvs.api.node import Node
    from drvs.daemon.client import Reply


class VM:
    """A VM of a node; from `Node.create_vm` or `Node.vm`.

    As a context manager, a VM that was created there ends with the ``with`` statement, and one that was looked up goes
    on.

    Attributes:
        node: the node it was reached through.
        id: its number on the node.
        name: its name.
    """

    def __init__(self, node: Node, vmid: int, name: str, *, owned: bool = False) -> None:
        self.node = node
        self.id = VmId(vmid)
        self.name = name
        self._owned = owned

    def __repr__(self) -> str:
        return f"<VM {self.id} {self.name!r} of node {self.node.id}>"

    def __enter__(self) -> VM:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned:
            try:
                self.end()
            except NotRunning:
                pass  # somebody ended it before

    # ---- binding

    def bind(
        self, slot: int | None = None, name: str | None = None, *, thread: bool = False, spin_us: int = SPIN_US
    ) -> Endpoint:
        """Bind this process into the VM.

        Args:
            slot: the process number (p_nr), -nr_tasks <= slot < nr_procs; None for any free user slot.
            name: at most 15 bytes, unique in the VM, by which others `lookup` it.
            thread: the binding belongs to the calling thread and ends with it; otherwise it ends with the process.
            spin_us: microseconds that a wait spins on another CPU's answer before it sleeps; 0 never spins.

        Returns:
            The endpoint: a context manager that unbinds at its end.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node (who may bind it by `lclbind`).
            Busy: the slot or the name is taken, or the VM is full.
            OutOfRange: the VM has no such slot.
            NameTooLong: more than 15 bytes.
            NotRunning: no node, or the VM has ended.

        Canonical: mnx_bind, mnx_tbind (guide 4.1.7)
        """
        reply = self._call(
            "bind",
            kind="thread" if thread else "self",
            tid=threading.get_native_id() if thread else 0,
            p_nr=slot,
            name=name or "",
            cookie=new_cookie(),
        )
        endpoint = binding.attach(self, reply, name or "", spin_us)
        if thread:
            binding.unbind_with_thread(endpoint)
        return endpoint

    def lclbind(self, pid: int, slot: int | None = None, name: str | None = None) -> EndpointId:
        """Bind another process of this node, which meets its endpoint with `drvs.wait_for_bind`.

        Args:
            pid: the host process.
            slot, name: as for `bind`.

        Raises:
            OutOfRange: there is no such process, or no such slot.
            AccessDenied: the caller is neither root nor the owner of the node.
            Busy: the slot or the name is taken.

        Canonical: mnx_lclbind (guide 4.1.7)
        """
        reply = self._call("bind", kind="local", pid=pid, p_nr=slot, name=name or "", cookie=new_cookie(), region=False)
        return EndpointId(reply["endpoint"])

    def rmtbind(self, name: str, endpoint: int, node: int) -> EndpointId:
        """Let the processes here address a process of another node.

        Raises:
            Unreachable: the node is not known, does not run the VM, or has no proxies.

        Canonical: mnx_rmtbind (guide 4.1.7)
        """
        return EndpointId(self._call("rmtbind", name=name, endpoint=endpoint, node=node)["endpoint"])

    def bkupbind(self, pid: int, endpoint: int, node: int) -> EndpointId:
        """Bind a local process as the backup of one on another node.

        It gets NotReady from every call until it is promoted.

        Raises:
            Unreachable: the node is not known, does not run the VM, or has no proxies.

        Canonical: mnx_bkupbind (guide 4.1.7)
        """
        return EndpointId(self._call("bkupbind", pid=pid, endpoint=endpoint, node=node)["endpoint"])

    def unbind(self, endpoint: int, timeout: float | None = None) -> None:
        """End the binding of an endpoint, the caller's or another's.

        Another process gets SIGPIPE, and its blocked call ends with SHUTDOWN. Waits while a copy holds the endpoint's
        memory.

        Raises:
            NotBound: it is not bound.
            AccessDenied: it is another's, and the caller is neither root nor the owner of the node.
            TimedOut: its memory was in a copy for `timeout` seconds.

        Canonical: mnx_unbind, mnx_unbind_T (guide 4.1.9)
        """
        self._call("unbind", endpoint=endpoint, timeout_ms=to_milliseconds(timeout))

    def _unbind_own(self, endpoint: Endpoint) -> None:
        """Unbind a handle of this process, which may have lost its slot, its VM or its node before."""
        try:
            self._call("unbind", endpoint=endpoint.endpoint, incarnation=endpoint.incarnation)
        except (NotBound, NotRunning):
            pass

    # ---- nodes

    def add_node(self, node: int) -> None:
        """Let the VM have processes on another node.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Unreachable: no other node has that number, no proxies lead there, or the VM runs there already.

        Canonical: mnx_add_node (guide 5.1.5)
        """
        self._call("add_node", node=node)

    def remove_node(self, node: int) -> None:
        """Take a node out of the VM.

        What is under way there ends with Unreachable (NOVMNODE), and its processes cannot be addressed here any more.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            Unreachable: no other node has that number, or the VM does not run there.

        Canonical: mnx_del_node (guide 5.1.7)
        """
        self._call("del_node", node=node)

    # ---- finding and waiting

    def lookup(self, name: str, timeout: float | None = 0) -> EndpointId:
        """Return the endpoint that is bound under `name`, and wait for it if it is not there yet.

        Args:
            timeout: seconds; 0 only looks, None waits for ever.

        Raises:
            NotBound: nobody has the name, and timeout is 0.
            TimedOut: nobody bound it in time.
        """
        return EndpointId(self._call("lookup", name=name, timeout_ms=to_milliseconds(timeout))["endpoint"])

    def wait_bound(self, endpoint: int, timeout: float | None = None) -> None:
        """Wait until an endpoint is bound.

        Raises:
            TimedOut: it was not in `timeout` seconds.

        Canonical: mnx_wait4bindep, mnx_wait4bindep_T
        """
        self._call("wait4bindep", endpoint=endpoint, timeout_ms=to_milliseconds(timeout))

    def wait_unbound(self, endpoint: int, timeout: float | None = None) -> None:
        """Wait until an endpoint is not bound any more.

        Raises:
            TimedOut: it still was after `timeout` seconds.

        Canonical: mnx_wait4unbind, mnx_wait4unbind_T
        """
        self._call("wait4unbind", endpoint=endpoint, timeout_ms=to_milliseconds(timeout))

    # ---- looking

    def info(self) -> VmInfo:
        """Return the VM's limits and state.

        Canonical: mnx_getvminfo (guide 4.1.6)
        """
        return VmInfo.from_reply(self._call("getvminfo").fields)

    def process(self, slot: int) -> ProcessInfo:
        """Return the process in a slot; one whose `rts` has FREE if nobody is bound there.

        Raises:
            OutOfRange: the VM has no such slot.

        Canonical: mnx_getprocinfo (guide 4.1.11)
        """
        return ProcessInfo.from_row(self.id, self._call("getprocinfo", p_nr=slot).fields)

    def processes(self) -> list[ProcessInfo]:
        """Return every bound process, by process number."""
        return [ProcessInfo.from_row(self.id, row) for row in self._call("procs")["procs"]]

    def dump(self) -> str:
        """Write the table of processes into noded's log, in the guide's columns, and return it.

        Canonical: mnx_proc_dump (guide 4.1.13)
        """
        return str(self._call("proc_dump")["text"])

    def audit(self) -> list[str]:
        """Check every invariant of the VM's memory; return what does not hold, nothing if it is sound."""
        return list(self._call("audit")["findings"])

    # ---- acting on others

    def privileges(self, endpoint: int) -> Privileges:
        """Return the privileges of an endpoint.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.

        Canonical: mnx_getpriv (guide 4.1.15)
        """
        return from_reply(self._call("getpriv", endpoint=endpoint).fields)

    def set_privileges(self, endpoint: int, privileges: Privileges) -> None:
        """Set the privileges of an endpoint; they hold from its next call on.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.

        Canonical: mnx_setpriv (guide 4.1.14)
        """
        self._call("setpriv", endpoint=endpoint, **to_fields(privileges))

    def wakeup(self, endpoint: int) -> None:
        """End the receive of an endpoint with WokenUp; if it is not receiving, its next one.

        Canonical: mnx_wakeup
        """
        self._call("wakeup", endpoint=endpoint)

    def notify_from(self, slot: int, dst: int, value: int = 0) -> None:
        """Notify `dst` on behalf of process number `slot` (HARDWARE, SYSTEM or another), without being bound.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.

        Canonical: mnx_src_notify, mnx_hdw_notify, mnx_ntfy_value
        """
        self._call("notify", as_p_nr=slot, dst=dst, value=value)

    def end(self) -> None:
        """End the VM: everyone in it is unbound, wakes with NotRunning and gets SIGPIPE.

        Raises:
            AccessDenied: the caller is neither root nor the owner of the node.
            NotRunning: it has ended already.

        Canonical: mnx_vm_end (guide 4.1.5)
        """
        self._call("vm_end")

    def _call(self, op: str, **fields: Any) -> Reply:
        try:
            return self.node.client.call(op, vmid=int(self.id), **fields)
        except DrvsError as error:
            error.vm_name = self.name
            error.node = self.node.id
            raise
