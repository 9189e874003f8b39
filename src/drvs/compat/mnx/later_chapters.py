"""The calls of chapters 5 and 6, which take a second node: until there is one they answer EMOLNOSYS.

They have the guide's names and arguments, so that a program that only mentions them runs.
"""

from __future__ import annotations

from drvs.compat.mnx.constants import EMOLNOSYS
from drvs.compat.mnx.errno import failed
from drvs.compat.mnx.structures import cmd_t, node_usr, proc_usr, proxy_payload_t


def mnx_proxies_bind(name: str | bytes, pxid: int, spid: int, rpid: int) -> int:
    """Register the sender and receiver proxies of a pair (guide 5.1.1)."""
    return failed(EMOLNOSYS)


def mnx_proxy_conn(pxid: int, status: int) -> int:
    """Tell whether a proxy pair is connected (guide 5.1.2)."""
    return failed(EMOLNOSYS)


def mnx_proxy_unbind(pxid: int) -> int:
    """Deregister a proxy pair (guide 5.1.3)."""
    return failed(EMOLNOSYS)


mnx_proxies_unbind = mnx_proxy_unbind


def mnx_getproxyinfo(pxid: int, sproc_usr: proc_usr, rproc_usr: proc_usr) -> int:
    """Describe the processes of a proxy pair (guide 5.1.4)."""
    return failed(EMOLNOSYS)


def mnx_add_node(vmid: int, nodeid: int) -> int:
    """Let a VM have processes on a node (guide 5.1.5)."""
    return failed(EMOLNOSYS)


def mnx_getnodeinfo(nodeid: int, node_usr_ptr: node_usr) -> int:
    """Describe a node (guide 5.1.6)."""
    return failed(EMOLNOSYS)


def mnx_del_node(vmid: int, nodeid: int) -> int:
    """Remove a node from a VM (guide 5.1.7)."""
    return failed(EMOLNOSYS)


def mnx_node_up(name: str | bytes, nodeid: int, pxid: int) -> int:
    """Link a node to a proxy pair (guide 5.1.8)."""
    return failed(EMOLNOSYS)


def mnx_node_down(nodeid: int) -> int:
    """Unlink a node from its proxy pair (guide 5.1.9)."""
    return failed(EMOLNOSYS)


def mnx_get2rmt(header: cmd_t, payload: proxy_payload_t) -> int:
    """Take the next command for a remote node, as a sender proxy (guide 5.1.10)."""
    return failed(EMOLNOSYS)


def mnx_get2rmt_T(header: cmd_t, payload: proxy_payload_t, to_ms: int) -> int:
    """Take the next command for a remote node, waiting at most `to_ms` milliseconds."""
    return failed(EMOLNOSYS)


def mnx_put2lcl(header: cmd_t, payload: proxy_payload_t) -> int:
    """Deliver a command of a remote node, as a receiver proxy (guide 5.1.11)."""
    return failed(EMOLNOSYS)


def mnx_migr_start(vmid: int, endpoint: int) -> int:
    """Stop the traffic to an endpoint that is going to move (guide 6.1.1)."""
    return failed(EMOLNOSYS)


def mnx_migr_commit(pid: int, vmid: int, endpoint: int, node: int) -> int:
    """Let the traffic go on to where the endpoint is now (guide 6.1.2)."""
    return failed(EMOLNOSYS)


def mnx_migr_rollback(vmid: int, endpoint: int) -> int:
    """Let the traffic go on to where the endpoint was (guide 6.1.3)."""
    return failed(EMOLNOSYS)
