"""Small steps that many tests of noded take."""

import os
import time
from collections.abc import Callable
from typing import Any

from drvs.base.codes import Code
from drvs.core import Endpoint, Region
from drvs.daemon.client import Client, Reply
from support import children
from support.nodes import RunningNode

PATIENCE_S = 20.0


def refused(client: Client, code: Code, op: str, **fields: Any) -> str:
    """Make a call that must be refused with this code; returns the reason given."""
    reply = client.call(op, check=False, **fields)
    assert Code(reply.code) is code, f"{op}: {reply}"
    return reply.error or ""


def bind(client: Client, vmid: int, **fields: Any) -> Reply:
    """Bind the caller without taking the region."""
    return client.call("bind", vmid=vmid, region=False, **fields)


def open_endpoint(reply: Reply) -> Endpoint:
    """Open the endpoint that bind or wait4bind answered with."""
    fd = reply.take_fd()
    try:
        return Endpoint(Region(fd), reply["slot"], reply["incarnation"], reply["endpoint"])
    finally:
        os.close(fd)


def end(node: RunningNode) -> None:
    """End a node that a test started itself; its children go first."""
    children.close_all()
    node.stop()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Ask again until it is so; only for what noded does by itself and tells nobody."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        os.sched_yield()


def holder_program(me: Any, runtime_dir: str, vmid: int, p_nr: int | None = None, name: str = "") -> None:
    """A child that binds itself, says its endpoint, and stays until it is told to end."""
    with Client(runtime_dir) as client:
        reply = client.call("bind", vmid=vmid, p_nr=p_nr, name=name)
        endpoint = open_endpoint(reply)
        me.say(reply["endpoint"])
        me.hear()
        endpoint.close()
