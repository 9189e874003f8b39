"""Nodes and proxy pairs (guide 5.1.1 to 5.1.9)."""

from __future__ import annotations

from typing import Any

from drvs.compat.mnx import constants as mnx
from drvs.compat.mnx import convert
from drvs.compat.mnx.buffers import name_text, structure
from drvs.compat.mnx.errno import failed
from drvs.compat.mnx.results import code_of, vm_of
from drvs.compat.mnx.structures import node_usr, proc_usr
from drvs.compat.mnx.threads import this_node

# ---- proxy pairs


def mnx_proxies_bind(name: Any, pxid: int, spid: int, rpid: int) -> int:
    """Register two processes, or threads, as the sender and the receiver proxy of pair `pxid`.

    They may be one. No message goes through them before mnx_node_up and mnx_proxy_conn. When one of them ends, the pair
    is deregistered, and the other gets SIGPIPE.

    Canonical: mnx_proxies_bind (guide 5.1.1)
    """
    return code_of(lambda: this_node().bind_proxies(name_text(name), pxid, spid, rpid))


def mnx_proxy_conn(pxid: int, status: int) -> int:
    """Tell whether a proxy pair is connected to its nodes: CONNECT_SPROXY, CONNECT_RPROXY, or one of the opposites.

    Messages go while both its proxies are connected. When one is not any more, every call that is under way there ends
    with EMOLNOTCONN.

    Canonical: mnx_proxy_conn (guide 5.1.2)
    """
    return code_of(lambda: this_node().client.call("proxy_conn", px=pxid, status=status))


def mnx_proxy_unbind(pxid: int) -> int:
    """Deregister a proxy pair; every call that is under way through it ends with EMOLNOPROXY.

    Canonical: mnx_proxy_unbind (guide 5.1.3)
    """
    return code_of(lambda: this_node().client.call("proxy_unbind", px=pxid))


mnx_proxies_unbind = mnx_proxy_unbind


def mnx_getproxyinfo(pxid: int, sproc_usr: Any, rproc_usr: Any) -> int:
    """Fill in a proc_usr_t for each process of a proxy pair.

    p_nr and p_proxy are `pxid`, p_nodemap has the nodes that the pair leads to.

    Canonical: mnx_getproxyinfo (guide 5.1.4)
    """
    sender, receiver = structure(sproc_usr, proc_usr), structure(rproc_usr, proc_usr)
    if sender is None or receiver is None:
        return failed(mnx.EMOLINVAL)

    def fill() -> None:
        info = this_node().proxy_pair(pxid).info()
        convert.fill_proxy(sender, info, info.sender)
        convert.fill_proxy(receiver, info, info.receiver)

    return code_of(fill)


# ---- nodes


def mnx_node_up(name: Any, nodeid: int, pxid: int) -> int:
    """Link a node to a proxy pair: what goes there goes through it.

    Canonical: mnx_node_up (guide 5.1.8)
    """
    return code_of(lambda: this_node().node_up(name_text(name), nodeid, pxid))


def mnx_node_down(nodeid: int) -> int:
    """Unlink a node from its proxy pair; every call that is under way there ends with EMOLNOPROXY.

    Canonical: mnx_node_down (guide 5.1.9)
    """
    return code_of(lambda: this_node().node_down(nodeid))


def mnx_getnodeinfo(nodeid: int, node_usr_ptr: Any) -> int:
    """Fill in a node_usr_t; n_flags is 0 for a node that is not up.

    Canonical: mnx_getnodeinfo (guide 5.1.6)
    """
    target = structure(node_usr_ptr, node_usr)
    if target is None:
        return failed(mnx.EMOLINVAL)
    return code_of(lambda: convert.fill_peer(target, this_node().node_info(nodeid)))


def mnx_add_node(vmid: int, nodeid: int) -> int:
    """Let a VM have processes on a node that is up.

    Canonical: mnx_add_node (guide 5.1.5)
    """
    return code_of(lambda: vm_of(vmid).add_node(nodeid))


def mnx_del_node(vmid: int, nodeid: int) -> int:
    """Take a node out of a VM: calls under way there end with EMOLNOVMNODE, and its processes are unbound here.

    Canonical: mnx_del_node (guide 5.1.7)
    """
    return code_of(lambda: vm_of(vmid).remove_node(nodeid))
