"""Proxy pairs and nodes (guide 5.1.1 to 5.1.9): arguments, structures and codes, and who may make these calls."""

import ctypes
import os
import signal

import pytest

from drvs.compat.mnx import *
from support.children import spawn
from support.covers import covers
from support.users import as_nobody

pytestmark = pytest.mark.root
CALLS = (
    "mnx_proxies_bind", "mnx_proxy_conn", "mnx_proxy_unbind", "mnx_getproxyinfo", "mnx_node_up", "mnx_node_down",
    "mnx_add_node", "mnx_del_node", "mnx_getnodeinfo",
)  # fmt: skip
PX, FAR = 3, 5
BOTH = (CONNECT_SPROXY, CONNECT_RPROXY)


def every_call(vmid):
    """Make each of these calls once; their codes."""
    me = os.getpid()
    return {
        "mnx_proxies_bind": mnx_proxies_bind("pair", PX, me, me),
        "mnx_proxy_conn": mnx_proxy_conn(PX, CONNECT_SPROXY),
        "mnx_getproxyinfo": mnx_getproxyinfo(PX, proc_usr_t(), proc_usr_t()),
        "mnx_node_up": mnx_node_up("far", FAR, PX),
        "mnx_add_node": mnx_add_node(vmid, FAR),
        "mnx_getnodeinfo": mnx_getnodeinfo(FAR, node_usr_t()),
        "mnx_del_node": mnx_del_node(vmid, FAR),
        "mnx_node_down": mnx_node_down(FAR),
        "mnx_proxy_unbind": mnx_proxy_unbind(PX),
    }


@pytest.fixture
def pair(lab):
    """A pair, in whose process the test runs."""
    assert mnx_proxies_bind("pair", PX, os.getpid(), os.getpid()) == OK
    yield PX
    mnx_proxy_unbind(PX)


@pytest.fixture
def far(pair):
    """And a node that it leads to."""
    assert mnx_node_up("far", FAR, pair) == OK
    return FAR


@covers(CALLS, "OK")
def test_each_of_these_calls_does_its_work_for_root(lab):
    assert every_call(lab.vmid) == dict.fromkeys(CALLS, OK)
    assert mnx_errno() == OK


@covers(CALLS, "-EPERM")
def test_an_ordinary_user_may_make_none_of_them(lab):
    assert as_nobody(every_call, lab.vmid) == dict.fromkeys(CALLS, -EPERM)


@covers(CALLS, "EMOLDRVSINIT")
def test_where_there_is_no_node_none_is_initialised(lab, monkeypatch):
    monkeypatch.setenv("DRVS_RUNTIME_DIR", "/nonexistent/drvs-test-without-a-node")
    assert every_call(lab.vmid) == dict.fromkeys(CALLS, EMOLDRVSINIT)
    assert mnx_errno() == EMOLDRVSINIT


@covers("mnx_proxies_bind", "EMOLBADNODEID", "EMOLNODEBUSY", "EMOLBADPID", "EMOLNOTDIR", "EMOLBADF")
def test_proxies_bind_judges_its_arguments(pair, shared_node):
    me, gone = os.getpid(), spawn(lambda _: 0)
    gone.wait()
    assert mnx_proxies_bind("other", 32, me, me) == mnx_proxies_bind("other", -1, me, me) == EMOLBADNODEID
    assert mnx_proxies_bind("other", pair, me, me) == EMOLNODEBUSY
    assert mnx_proxies_bind("other", 4, me, gone.pid) == mnx_proxies_bind("other", 4, gone.pid, me) == EMOLBADPID
    assert mnx_proxies_bind("sixteen bytes ---", 4, me, me) == EMOLNAMETOOLONG
    assert mnx_proxies_bind("", 4, me, me) == EMOLINVAL
    folder = shared_node.runtime_dir / "proc" / "other"
    folder.write_text("")
    assert mnx_proxies_bind("other", 4, me, me) == EMOLNOTDIR
    folder.unlink()
    (folder / "info").mkdir(parents=True)
    assert mnx_proxies_bind("other", 4, me, me) == EMOLBADF
    assert not folder.exists()


@covers("mnx_proxy_conn", "EMOLBADNODEID", "EMOLINVAL", "EMOLNOPROXY")
def test_proxy_conn_judges_its_arguments(pair):
    assert mnx_proxy_conn(-1, CONNECT_SPROXY) == EMOLBADNODEID
    assert mnx_proxy_conn(pair, 0) == mnx_proxy_conn(pair, 5) == EMOLINVAL
    assert mnx_proxy_conn(4, CONNECT_SPROXY) == EMOLNOPROXY


@covers("mnx_proxy_unbind", "EMOLBADNODEID", "EMOLNOPROXY")
def test_only_a_pair_that_there_is_can_be_unbound(pair):
    assert mnx_proxies_unbind(pair) == OK
    assert mnx_proxy_unbind(pair) == EMOLNOPROXY
    assert mnx_proxy_unbind(32) == EMOLBADNODEID


@covers("mnx_getproxyinfo", "OK", "EMOLNOPROXY", "EMOLBADNODEID", "EMOLINVAL")
def test_getproxyinfo_fills_in_both_processes(far, pair):
    mnx_proxy_conn(pair, CONNECT_RPROXY)
    sender, receiver = proc_usr_t(), proc_usr_t()
    assert mnx_getproxyinfo(pair, ctypes.byref(sender), receiver) == OK
    for half, misc in ((sender, 1), (receiver, 3)):
        assert (half.p_nr, half.p_proxy, half.p_lpid, half.p_name) == (pair, pair, os.getpid(), b"pair")
        assert (half.p_rts_flags, half.p_misc_flags, half.p_nodeid, half.p_nodemap) == (0, misc, 0, 1 << far)
        assert (half.p_getfrom, half.p_sendto, half.p_waitmigr, half.p_endpoint) == (NONE,) * 4
    assert mnx_getproxyinfo(4, sender, receiver) == EMOLNOPROXY
    assert mnx_getproxyinfo(99, sender, receiver) == EMOLBADNODEID
    assert mnx_getproxyinfo(pair, None, receiver) == mnx_getproxyinfo(pair, sender, None) == EMOLINVAL


@covers("mnx_node_up", "EMOLBADNODEID", "EMOLPROXYFREE")
@covers("mnx_node_down", "EMOLBADNODEID", "EMOLPROXYFREE")
def test_node_up_and_node_down_judge_their_arguments(far, pair):
    assert mnx_node_up("x", 0, pair) == mnx_node_up("x", 32, pair) == mnx_node_up("x", -1, pair) == EMOLBADNODEID
    assert mnx_node_up("x", 6, 4) == mnx_node_up("x", 6, 77) == EMOLPROXYFREE
    assert mnx_node_up("far", 6, pair) == EMOLEXIST
    assert mnx_node_down(0) == mnx_node_down(32) == mnx_node_down(-1) == EMOLBADNODEID
    assert mnx_node_down(6) == EMOLPROXYFREE


@covers("mnx_getnodeinfo", "OK", "EMOLBADNODEID")
def test_getnodeinfo_fills_in_a_node(lab, far, pair):
    assert mnx_add_node(lab.vmid, far) == OK
    info = node_usr_t()
    for status, flags in [(None, 2), (CONNECT_SPROXY, 6), (CONNECT_RPROXY, 14), (DISCONNECT_SPROXY, 10)]:
        assert status is None or mnx_proxy_conn(pair, status) == OK
        assert mnx_getnodeinfo(far, ctypes.byref(info)) == OK
        assert info.n_flags == flags
    assert (info.n_nodeid, info.n_proxies, info.n_vms, info.n_name) == (far, pair, 1 << lab.vmid, b"far")
    assert mnx_getnodeinfo(0, info) == OK
    assert (info.n_flags, info.n_proxies, info.n_name) == (NODE_ATTACHED | NODE_SCONNECTED, NO_PROXIES, b"node0")
    assert mnx_getnodeinfo(9, info) == OK
    assert (info.n_flags, info.n_proxies, info.n_name) == (NODE_FREE, NO_PROXIES, b"")
    assert mnx_getnodeinfo(32, info) == mnx_getnodeinfo(-1, info) == EMOLBADNODEID
    assert mnx_getnodeinfo(far, None) == EMOLINVAL


@covers("mnx_add_node", "EMOLBADNODEID", "EMOLNOPROXY", "EMOLVMNOTRUN", "EMOLVMNODE")
@covers("mnx_del_node", "EMOLBADNODEID", "EMOLBADVMID", "EMOLNOPROXY", "EMOLVMNOTRUN", "EMOLVMNODE")
def test_add_node_and_del_node_judge_their_arguments(lab, far):
    for call in (mnx_add_node, mnx_del_node):
        assert call(lab.vmid, 0) == call(lab.vmid, 32) == call(lab.vmid, -1) == EMOLBADNODEID
        assert call(-1, far) == call(32, far) == EMOLBADVMID
        assert call(lab.vmid, 6) == EMOLNOPROXY
        assert call(lab.vmid + 1, far) == EMOLVMNOTRUN
    assert mnx_del_node(lab.vmid, far) == EMOLVMNODE
    assert mnx_add_node(lab.vmid, far) == OK
    assert mnx_add_node(lab.vmid, far) == EMOLVMNODE
    info = VM_usr_t()
    assert mnx_getvminfo(lab.vmid, info) == OK
    assert info.vm_nodes == 1 | 1 << far


def test_a_remote_server_is_shown_as_the_guide_shows_it(lab, far):
    mnx_add_node(lab.vmid, far)
    assert mnx_rmtbind(lab.vmid, "SoyRemoto", 1, far) == 1
    info = proc_usr_t()
    assert mnx_getprocinfo(lab.vmid, 1, info) == OK
    assert (info.p_rts_flags, info.p_lpid, info.p_nodeid, info.p_name) == (0x1000, -1, far, b"SoyRemoto")
    assert (info.p_getfrom, info.p_sendto, info.p_waitmigr, info.p_proxy) == (NONE, NONE, NONE, NO_PROXIES)
    assert mnx_unbind(lab.vmid, 1) == OK


def test_the_twin_of_a_proxy_that_dies_gets_sigpipe(lab):
    def half(me):
        signal.signal(signal.SIGPIPE, lambda *_: me.say("pipe"))
        me.say("here")
        me.hear()

    sender, receiver = spawn(half), spawn(half)
    for each in (sender, receiver):
        each.wait_line("here")
    assert mnx_proxies_bind("twins", PX, sender.pid, receiver.pid) == OK
    sender.kill()
    receiver.wait_line("pipe")
