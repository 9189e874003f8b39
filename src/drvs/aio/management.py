"""Management calls that wait, awaited: noded's socket is watched by the event loop, without a thread.

Cancelling one closes its connection, which is how noded learns that nobody waits any more.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from drvs.aio.endpoint import AsyncEndpoint
from drvs.api import VM, Node, binding
from drvs.api.binding import new_cookie
from drvs.api.timeouts import to_milliseconds
from drvs.base import paths
from drvs.base.codes import Code
from drvs.base.errors import DaemonGone
from drvs.base.ids import EndpointId
from drvs.base.limits import SPIN_US
from drvs.daemon import packets
from drvs.daemon.client import Client, Reply, reply_error
from drvs.daemon.protocol import VERSION


async def bind(vm: VM, slot: int | None = None, name: str | None = None, *, spin_us: int = SPIN_US) -> AsyncEndpoint:
    """Bind this process into a VM; see `VM.bind`.

    Canonical: mnx_bind (guide 4.1.7)
    """
    fields = {"vmid": int(vm.id), "kind": "self", "p_nr": slot, "name": name or "", "cookie": new_cookie()}
    reply = await call(vm.node.client, "bind", **fields)
    return AsyncEndpoint(binding.attach(vm, reply, name or "", spin_us))


async def wait_for_bind(
    timeout: float | None = None, *, runtime_dir: str | os.PathLike[str] | None = None, spin_us: int = SPIN_US
) -> AsyncEndpoint:
    """Wait until this process is bound, by whoever may; see `drvs.wait_for_bind`.

    Canonical: mnx_wait4bind, mnx_wait4bind_T (guide 4.1.8)
    """
    node = Node(runtime_dir)
    reply = await call(node.client, "wait4bind", timeout_ms=to_milliseconds(timeout))
    return AsyncEndpoint(binding.attach_found(node, reply, spin_us))


async def lookup(vm: VM, name: str, timeout: float | None = 0) -> EndpointId:
    """Return the endpoint bound under `name`, and wait for it; see `VM.lookup`."""
    fields = {"vmid": int(vm.id), "name": name, "timeout_ms": to_milliseconds(timeout)}
    return EndpointId((await call(vm.node.client, "lookup", **fields))["endpoint"])


async def wait_bound(vm: VM, endpoint: int, timeout: float | None = None) -> None:
    """Wait until an endpoint is bound; see `VM.wait_bound`.

    Canonical: mnx_wait4bindep, mnx_wait4bindep_T
    """
    await call(vm.node.client, "wait4bindep", vmid=int(vm.id), endpoint=endpoint, timeout_ms=to_milliseconds(timeout))


async def wait_unbound(vm: VM, endpoint: int, timeout: float | None = None) -> None:
    """Wait until an endpoint is not bound any more; see `VM.wait_unbound`.

    Canonical: mnx_wait4unbind, mnx_wait4unbind_T
    """
    await call(vm.node.client, "wait4unbind", vmid=int(vm.id), endpoint=endpoint, timeout_ms=to_milliseconds(timeout))


async def call(client: Client, op: str, **fields: Any) -> Reply:
    """Make one management call on a connection of its own.

    Raises:
        DrvsError: by the answer's code; DaemonGone if there is no noded.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect(os.path.join(client.runtime_dir, paths.SOCKET))
            sock.send(packets.encode({"v": VERSION, "op": op, **fields}))
            await _readable(sock)
            reply = Reply(*packets.receive_answer(sock))
        except (ConnectionError, FileNotFoundError, BlockingIOError) as error:
            raise DaemonGone(Code.DRVSINIT, op, detail=f"no noded answers in {client.runtime_dir} ({error})") from None
    if reply.code < 0:
        raise reply_error(reply, op, fields)
    return reply


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)
