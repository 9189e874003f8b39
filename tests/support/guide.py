"""Driving drvs.compat.mnx in tests: a shared node, a VM for each test, processes that bind, regions to damage.

The tests of one module share a noded, which takes a second to start; each gets a VM of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drvs
from drvs.compat import mnx
from drvs.core import LAYOUT
from support import children, nodes
from support.children import Child, spawn

TIME_MS = 5000
"""A timed call's time where it is not to run out."""

SHORT_MS = 30
"""And where it is."""

_byte = mnx.message()


def _copy(peer: int, _message: mnx.message) -> int:
    address = mnx.addressof(_byte)
    return mnx.mnx_vcopy(mnx.SELF, address, peer, address, 1)


IPC: dict[str, Callable[[int, mnx.message], int]] = {
    "mnx_send": mnx.mnx_send,
    "mnx_send_T": lambda peer, m: mnx.mnx_send_T(peer, m, TIME_MS),
    "mnx_reply": mnx.mnx_reply,
    "mnx_reply_T": lambda peer, m: mnx.mnx_reply_T(peer, m, TIME_MS),
    "mnx_receive": mnx.mnx_receive,
    "mnx_receive_T": lambda peer, m: mnx.mnx_receive_T(peer, m, TIME_MS),
    "mnx_rcvrqst": lambda _, m: mnx.mnx_rcvrqst(m),
    "mnx_rcvrqst_T": lambda _, m: mnx.mnx_rcvrqst_T(m, TIME_MS),
    "mnx_sendrec": mnx.mnx_sendrec,
    "mnx_sendrec_T": lambda peer, m: mnx.mnx_sendrec_T(peer, m, TIME_MS),
    "mnx_notify": lambda peer, _: mnx.mnx_notify(peer),
    "mnx_vcopy": _copy,
}
"""Every call of chapter 3, as call(peer, message)."""


class Lab:
    """A VM of a test, as programs of the guide see it."""

    def __init__(self, node: drvs.Node, vm: drvs.VM) -> None:
        self.node = node
        self.vm = vm
        self.vmid = int(vm.id)

    def bound(self, p_nr: int, function: Callable[..., Any], *args: Any) -> Child:
        """Start a process that binds itself at `p_nr`, then runs function(me, *args); returns when it is bound."""

        def program(me: Any) -> Any:
            endpoint = mnx.mnx_bind(self.vmid, p_nr)
            assert mnx.mnx_errno() == mnx.OK, mnx.mnx_errno()
            me.endpoint = endpoint
            me.say("bound")
            return function(me, *args)

        child = spawn(program)
        child.wait_line("bound")
        return child

    def unbound(self, function: Callable[..., Any], *args: Any) -> Child:
        """Start a process that is not bound and runs function(me, *args)."""
        return spawn(function, *args)

    def ended_slot(self, p_nr: int) -> int:
        """Return an endpoint that somebody had, and nobody has any more."""
        endpoint = self.vm.bind(p_nr)
        endpoint.unbind()
        return endpoint.endpoint

    def wait_rts(self, p_nr: int, flags: int, whole: bool = False) -> None:
        """Wait until the slot has these state bits (with `whole`, no others)."""
        deadline = time.monotonic() + 20
        while True:
            rts = int(self.vm.process(p_nr).rts)
            if rts == flags if whole else rts & flags == flags:
                return
            assert time.monotonic() < deadline, f"slot {p_nr} has flags {rts:#x}, not {flags:#x}"

    def wait_asleep(self, p_nr: int) -> None:
        """Wait until the process in the slot sleeps in the kernel, in its call."""
        deadline = time.monotonic() + 20
        while True:
            process = self.vm.process(p_nr)
            with open(f"/proc/{process.pid}/task/{process.tid}/wchan") as wchan:
                asleep = "futex" in wchan.read()
            if asleep:
                return
            assert time.monotonic() < deadline, f"slot {p_nr} does not sleep"

    # ---- damage

    def descriptor(self) -> int:
        """A descriptor of the VM's region, as any member has it."""
        reply = self.node.client.call("bind", vmid=self.vmid)
        self.node.client.call("unbind", vmid=self.vmid, endpoint=reply["endpoint"])
        return reply.take_fd()

    def write_word(self, place: str, value: int, p_nr: int | None = None) -> None:
        """Overwrite one 32-bit word of the region: "header.state", or "slot.rts" of a process number."""
        fd = self.descriptor()
        try:
            os.pwrite(fd, struct.pack("=I", value & 0xFFFFFFFF), self._offset(fd, place, p_nr))
        finally:
            os.close(fd)

    def set_route(self, node: int, word: int) -> None:
        """Write the route to a node into the region, behind noded's back."""
        fd = self.descriptor()
        try:
            assert drvs.core.Region(fd, kernel_slot=1).set_route(node, word) == 0
        finally:
            os.close(fd)

    def _offset(self, fd: int, place: str, p_nr: int | None) -> int:
        if p_nr is None:
            return LAYOUT[place]
        region = drvs.core.Region(fd, True)
        return region.layout["slots"] + (p_nr + region.nr_tasks) * LAYOUT["slot_bytes"] + LAYOUT[place]

    @contextlib.contextmanager
    def lock_held(self) -> Iterator[None]:
        """Let the VM's lock be held by a process that is stopped, as after a Ctrl-Z at the wrong moment."""
        holder = spawn(lambda me: me.hear())
        holder.stop()
        fd = self.descriptor()
        try:
            os.pwrite(fd, struct.pack("=I", holder.pid), LAYOUT["header.lock"])
            yield
            os.pwrite(fd, struct.pack("=I", 0), LAYOUT["header.lock"])
        finally:
            os.close(fd)
            holder.send_signal(signal.SIGKILL)


def wait_blocked(vm: drvs.VM, p_nr: int) -> None:
    """Wait until the process in a slot is bound, and blocked in a call."""
    deadline = time.monotonic() + 20
    while not vm.process(p_nr).rts & (drvs.Rts.SENDING | drvs.Rts.RECEIVING):
        assert time.monotonic() < deadline, f"slot {p_nr}: {vm.process(p_nr)}"


@contextlib.contextmanager
def node_of_a_module() -> Iterator[nodes.RunningNode]:
    """A noded for all tests of a module, in a directory that is open to other users."""
    path = Path(tempfile.mkdtemp(prefix="drvs-"))
    path.chmod(0o755)
    running = nodes.start(path)
    try:
        yield running
    finally:
        children.close_all()
        running.stop()
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def new_lab(node: drvs.Node, name: str = "lab") -> Iterator[Lab]:
    """A fresh VM for one test, ended after it."""
    vm = node.create_vm(name)
    try:
        yield Lab(node, vm)
    finally:
        with contextlib.suppress(drvs.NotRunning):
            vm.end()
