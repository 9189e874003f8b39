"""Proxies written by hand, on one node and without any network: a test takes commands, looks at them and answers them.

The test's own process is the sender and the receiver of the pair; the nodes that it leads to are its invention.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drvs.compat import mnx
from support.guide import TIME_MS, Lab

HERE = 0
"""The node that is real."""


class HandProxies:
    """A pair, number 1, that leads to all nodes of one's choice, for the VM of a lab."""

    def __init__(self, lab: Lab, nodes: tuple[int, ...] = (1,)) -> None:
        self.lab = lab
        assert mnx.mnx_proxies_bind("hand", 1, os.getpid(), os.getpid()) == mnx.OK
        for node in nodes:
            assert mnx.mnx_node_up(f"far{node}", node, 1) == mnx.OK
            assert mnx.mnx_add_node(lab.vmid, node) == mnx.OK
        for status in (mnx.CONNECT_SPROXY, mnx.CONNECT_RPROXY):
            assert mnx.mnx_proxy_conn(1, status) == mnx.OK

    def close(self) -> None:
        """Unbind the pair, if it still is bound."""
        mnx.mnx_proxy_unbind(1)

    # ---- one command

    def take(self, to_ms: int = TIME_MS) -> tuple[Any, Any]:
        """The next command and its payload."""
        header, payload = mnx.cmd_t(), mnx.proxy_payload_t()
        code = mnx.mnx_get2rmt_T(header, payload, to_ms)
        assert code == mnx.OK, f"no command: {code}"
        return header, payload

    def expect(self, cmd: int, src: int, dst: int, node: int = 1, rcode: int = 0) -> tuple[Any, Any]:
        """The next command, which must be this one, on its way to `node`."""
        header, payload = self.take()
        found = (header.c_cmd, header.c_src, header.c_dst, header.c_snode, header.c_dnode, header.c_rcode)
        assert found == (cmd, src, dst, HERE, node, rcode), f"{shown(header)}"
        assert header.c_vmid == self.lab.vmid
        assert header.c_timestamp.tv_sec > 1_600_000_000
        return header, payload

    def nothing(self) -> bool:
        """Whether there is nothing to take."""
        return bool(mnx.mnx_get2rmt_T(mnx.cmd_t(), mnx.proxy_payload_t(), mnx.TIMEOUT_NOWAIT) == mnx.EMOLAGAIN)

    def put(self, cmd: int, src: int, dst: int, payload: Any = None, **fields: Any) -> int:
        """Deliver a command of one's own making from node 1, or `c_snode`; the code."""
        header = mnx.cmd_t(c_cmd=cmd, c_vmid=self.lab.vmid, c_src=src, c_dst=dst, c_snode=1, c_dnode=HERE)
        for name, value in fields.items():
            setattr(header, name, value)
        return int(mnx.mnx_put2lcl(header, payload))

    def answer(self, header: Any, rcode: int = 0, cmd: int | None = None, payload: Any = None, **fields: Any) -> None:
        """Deliver what the other node would answer to a command that was taken: by default its acknowledgement."""
        back = mnx.cmd_t.from_buffer_copy(header)
        back.c_cmd = header.c_cmd | mnx.MASK_ACKNOWLEDGE if cmd is None else cmd
        back.c_src, back.c_dst = header.c_dst, header.c_src
        back.c_snode, back.c_dnode = header.c_dnode, header.c_snode
        back.c_rcode, back.c_len, back.c_incarnation = rcode, 0, 0
        if cmd == mnx.CMD_REPLY_MSG:
            back.c_answers, back.c_call, back.c_rnode = header.c_call, 0, 0
        for name, value in fields.items():
            setattr(back, name, value)
        assert mnx.mnx_put2lcl(back, payload) == mnx.OK


def shown(header: Any) -> str:
    """A header for people."""
    names = ("c_cmd", "c_vmid", "c_src", "c_dst", "c_snode", "c_dnode", "c_rcode", "c_len", "c_call", "c_answers")
    copy = header.c_vcopy
    parts = [f"{name[2:]}={getattr(header, name)}" for name in names]
    return " ".join([*parts, f"vcopy {copy.v_src}->{copy.v_dst} for {copy.v_rqtr}, {copy.v_bytes} bytes"])


def with_message(m_type: int, source: int = 0, **fields: int) -> Any:
    """A payload that is a message."""
    payload = mnx.proxy_payload_t()
    payload.pay_msg.m_source, payload.pay_msg.m_type = source, m_type
    for name, value in fields.items():
        setattr(payload.pay_msg, name, value)
    return payload


def with_data(data: bytes) -> Any:
    """A payload that is a block of data."""
    payload = mnx.proxy_payload_t()
    ctypes.memmove(ctypes.addressof(payload), data, len(data))
    return payload


@contextmanager
def hand_proxies(lab: Lab, nodes: tuple[int, ...] = (1,)) -> Iterator[HandProxies]:
    """Pairs for these nodes, for one test."""
    pairs = HandProxies(lab, nodes)
    try:
        yield pairs
    finally:
        pairs.close()
