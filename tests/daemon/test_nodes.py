"""Other nodes, the VMs that run there, and the routes that regions have for them; guide 5.1.5 to 5.1.9."""

import os

import pytest

from drvs.base.codes import Code
from drvs.base.flags import NodeFlag, Rts
from drvs.core import Region
from drvs.daemon.client import Client
from support.covers import covers
from support.nodes import RunningNode

from daemon.helpers import bind, refused

ME = {"sender": None, "receiver": None}
FAR = 5


def routes(client: Client, vmid: int) -> dict[int, int]:
    """The words of a VM's route table that are not 0, as a member reads them."""
    reply = client.call("bind", vmid=vmid)
    client.call("unbind", vmid=vmid, endpoint=reply["endpoint"])
    region = Region(reply.fds[0], readonly=True)
    found = {node: region.route_of(node) for node in range(region.nr_nodes)}
    return {node: word for node, (word, _) in found.items() if word}


@pytest.fixture
def paired(client: Client) -> Client:
    """A node with a pair 1, in whose process the test runs."""
    client.call("proxies_bind", name="pair", px=1, **ME)
    return client


@pytest.fixture
def linked(paired: Client) -> Client:
    """And a node that it leads to."""
    paired.call("node_up", name="far", node=FAR, px=1)
    return paired


@covers("mnx_node_up", "OK", "EMOLBADNODEID", "EMOLPROXYFREE")
def test_a_node_is_up_once_a_registered_pair_leads_there(paired: Client) -> None:
    for px in (2, -1, 32):
        refused(paired, Code.PROXYFREE, "node_up", name="far", node=FAR, px=px)
    for number in (-1, 32, 0):
        refused(paired, Code.BADNODEID, "node_up", name="far", node=number, px=1)
    paired.call("node_up", name="far", node=FAR, px=1)
    info = paired.call("getnodeinfo", node=FAR)
    assert (info["name"], info["px"], info["flags"], info["vms"]) == ("far", 1, NodeFlag.ATTACHED, 0)


def test_a_node_is_reached_through_one_pair_and_names_are_unique(linked: Client) -> None:
    linked.call("proxies_bind", name="second", px=2, **ME)
    refused(linked, Code.NODEBUSY, "node_up", name="far", node=FAR, px=2)
    assert "node 5 has the name" in refused(linked, Code.EXIST, "node_up", name="far", node=6, px=2)
    refused(linked, Code.EXIST, "node_up", name="node0", node=6, px=2)
    refused(linked, Code.NAMETOOLONG, "node_up", name="sixteen bytes ---", node=6, px=2)
    linked.call("node_up", name="renamed", node=FAR, px=1)
    assert linked.call("getnodeinfo", node=FAR)["name"] == "renamed"
    linked.call("node_name", name="here")
    assert [row["name"] for row in linked.call("nodes")["nodes"]] == ["here", "renamed"]
    refused(linked, Code.EXIST, "node_name", name="renamed")


@covers("mnx_node_down", "OK", "EMOLBADNODEID", "EMOLPROXYFREE")
def test_a_node_that_is_down_is_not_known(linked: Client) -> None:
    linked.call("node_down", node=FAR)
    assert linked.call("getnodeinfo", node=FAR)["flags"] == 0
    refused(linked, Code.PROXYFREE, "node_down", node=FAR)
    for number in (-1, 32, 0):
        refused(linked, Code.BADNODEID, "node_down", node=number)


@covers("mnx_getnodeinfo", "OK", "EMOLBADNODEID")
def test_every_node_can_be_asked_about_this_one_too(linked: Client, lab: int) -> None:
    own = linked.call("getnodeinfo", node=0)
    assert (own["flags"], own["px"], own["name"], own["vms"], own["local"]) == (6, -1, "node0", 1 << lab, True)
    assert linked.call("getnodeinfo", node=9)["flags"] == 0
    for number in (-1, 32):
        refused(linked, Code.BADNODEID, "getnodeinfo", node=number)


# ---- the nodes of a VM ----------------------------------------------------------------------------------------------


@covers("mnx_add_node", "OK", "EMOLBADNODEID", "EMOLNOPROXY", "EMOLVMNOTRUN", "EMOLVMNODE")
def test_a_node_that_is_up_is_added_to_a_vm_once(linked: Client, lab: int) -> None:
    for number in (-1, 32, 0):
        refused(linked, Code.BADNODEID, "add_node", vmid=lab, node=number)
    refused(linked, Code.BADVMID, "add_node", vmid=99, node=FAR)
    refused(linked, Code.NOPROXY, "add_node", vmid=lab, node=6)
    refused(linked, Code.VMNOTRUN, "add_node", vmid=7, node=FAR)
    linked.call("add_node", vmid=lab, node=FAR)
    refused(linked, Code.VMNODE, "add_node", vmid=lab, node=FAR)
    assert linked.call("getvminfo", vmid=lab)["nodes"] == 1 | 1 << FAR
    assert linked.call("getnodeinfo", node=FAR)["vms"] == 1 << lab


@covers("mnx_del_node", "OK", "EMOLBADNODEID", "EMOLBADVMID", "EMOLNOPROXY", "EMOLVMNOTRUN", "EMOLVMNODE")
def test_a_node_is_taken_out_of_a_vm_once(linked: Client, lab: int) -> None:
    for number in (-1, 32, 0):
        refused(linked, Code.BADNODEID, "del_node", vmid=lab, node=number)
    for vmid in (-1, 32):
        refused(linked, Code.BADVMID, "del_node", vmid=vmid, node=FAR)
    refused(linked, Code.NOPROXY, "del_node", vmid=lab, node=6)
    refused(linked, Code.VMNOTRUN, "del_node", vmid=7, node=FAR)
    refused(linked, Code.VMNODE, "del_node", vmid=lab, node=FAR)
    linked.call("add_node", vmid=lab, node=FAR)
    linked.call("del_node", vmid=lab, node=FAR)
    assert linked.call("getvminfo", vmid=lab)["nodes"] == 1


def test_a_node_that_is_gone_can_still_be_taken_out(linked: Client, lab: int) -> None:
    linked.call("add_node", vmid=lab, node=FAR)
    linked.call("node_down", node=FAR)
    linked.call("del_node", vmid=lab, node=FAR)
    refused(linked, Code.NOPROXY, "del_node", vmid=lab, node=FAR)


# ---- routes ---------------------------------------------------------------------------------------------------------


def test_regions_have_the_routes_that_the_tables_give(linked: Client, lab: int) -> None:
    """bit 0: the VM runs there; bit 1: connected; from bit 16: the pair + 1."""
    assert routes(linked, lab) == {0: 1, FAR: 2 << 16}
    linked.call("add_node", vmid=lab, node=FAR)
    assert routes(linked, lab)[FAR] == 2 << 16 | 1
    for status, word in ((1, 2 << 16 | 1), (2, 2 << 16 | 3), (3, 2 << 16 | 1), (1, 2 << 16 | 3)):
        linked.call("proxy_conn", px=1, status=status)
        assert routes(linked, lab)[FAR] == word
    linked.call("del_node", vmid=lab, node=FAR)
    assert routes(linked, lab)[FAR] == 2 << 16 | 2
    linked.call("node_down", node=FAR)
    assert routes(linked, lab) == {0: 1}


def test_a_vm_that_comes_later_has_them_too(linked: Client) -> None:
    for status in (1, 2):
        linked.call("proxy_conn", px=1, status=status)
    vmid = linked.call("vm_init", name="late", nodes=1 << FAR | 1 << 9)["vmid"]
    assert routes(linked, vmid) == {0: 1, FAR: 2 << 16 | 3, 9: 1}


def test_and_they_are_right_after_a_restart_of_noded(linked: Client, lab: int, node: RunningNode) -> None:
    linked.call("add_node", vmid=lab, node=FAR)
    for status in (1, 2):
        linked.call("proxy_conn", px=1, status=status)
    before = routes(linked, lab)
    node.kill()
    node.restart()
    assert routes(linked, lab) == before == {0: 1, FAR: 2 << 16 | 3}
    linked.call("proxy_unbind", px=1)
    assert routes(linked, lab) == {0: 1, FAR: 1}


# ---- processes of other nodes ----------------------------------------------------------------------------------------


def far_endpoint(client: Client, vmid: int, slot: int) -> int:
    """What a process in that slot of another node has as endpoint, in its first generation."""
    reply = client.call("bind", vmid=vmid)
    client.call("unbind", vmid=vmid, endpoint=reply["endpoint"])
    return Region(reply.fds[0], readonly=True).encode(slot, 1)


@covers("mnx_rmtbind", "OK", "EMOLNOPROXY", "EMOLNOVMNODE", "EMOLBUSY")
def test_a_process_of_another_node_is_bound_found_described_and_unbound(linked: Client, lab: int) -> None:
    refused(linked, Code.NOVMNODE, "rmtbind", vmid=lab, name="server", endpoint=10, node=FAR)
    linked.call("add_node", vmid=lab, node=FAR)
    assert linked.call("rmtbind", vmid=lab, name="server", endpoint=10, node=FAR)["endpoint"] == 10
    refused(linked, Code.BUSY, "rmtbind", vmid=lab, name="other", endpoint=10, node=FAR)
    refused(linked, Code.EXIST, "rmtbind", vmid=lab, name="server", endpoint=11, node=FAR)
    info = linked.call("getprocinfo", vmid=lab, p_nr=10)
    assert info["rts"] == Rts.REMOTE
    assert {"pid": -1, "node": FAR, "name": "server", "endpoint": 10, "kind": "remote"}.items() <= info.fields.items()
    assert [row["p_nr"] for row in linked.call("procs", vmid=lab)["procs"]] == [10]
    assert linked.call("lookup", vmid=lab, name="server")["endpoint"] == 10
    linked.call("wait4bindep", vmid=lab, endpoint=10, timeout_ms=0)
    linked.call("unbind", vmid=lab, endpoint=10)
    linked.call("wait4unbind", vmid=lab, endpoint=10, timeout_ms=0)
    refused(linked, Code.NOTBIND, "lookup", vmid=lab, name="server")
    linked.call("node_down", node=FAR)
    refused(linked, Code.NOPROXY, "rmtbind", vmid=lab, name="server", endpoint=10, node=FAR)


def test_the_dump_shows_it(linked: Client, lab: int) -> None:
    linked.call("add_node", vmid=lab, node=FAR)
    linked.call("rmtbind", vmid=lab, name="server", endpoint=10, node=FAR)
    row = linked.call("proc_dump", vmid=lab)["text"].splitlines()[1].split("\t")
    assert row[:6] == ["0", "10", "10", "-1", "5", "1000"]


def test_a_slot_that_a_remote_process_has_is_passed_over(linked: Client, lab: int) -> None:
    linked.call("add_node", vmid=lab, node=FAR)
    first = bind(linked, lab)
    linked.call("unbind", vmid=lab, endpoint=first["endpoint"])
    far = far_endpoint(linked, lab, first["slot"])
    linked.call("rmtbind", vmid=lab, name="", endpoint=far, node=FAR)
    assert bind(linked, lab)["slot"] == first["slot"] + 1
    refused(linked, Code.BUSY, "bind", vmid=lab, p_nr=first["p_nr"])
    linked.call("unbind", vmid=lab, endpoint=far)
    assert bind(linked, lab)["slot"] == first["slot"]


def test_del_node_unbinds_them_and_a_restart_does_not(linked: Client, lab: int, node: RunningNode) -> None:
    linked.call("add_node", vmid=lab, node=FAR)
    linked.call("rmtbind", vmid=lab, name="server", endpoint=10, node=FAR)
    node.kill()
    node.restart()
    assert linked.call("lookup", vmid=lab, name="server")["endpoint"] == 10
    linked.call("node_down", node=FAR)
    assert linked.call("getprocinfo", vmid=lab, p_nr=10)["rts"] == Rts.REMOTE
    linked.call("del_node", vmid=lab, node=FAR)
    assert linked.call("getprocinfo", vmid=lab, p_nr=10)["kind"] is None
    assert linked.call("audit", vmid=lab)["findings"] == []


# ---- what a proxy is given ------------------------------------------------------------------------------------------


def test_a_registered_proxy_is_given_every_vm_and_told_of_changes(paired: Client, lab: int) -> None:
    first = paired.call("proxy_attach", begin=True)
    assert first["fds"] == ["changed", "ledger", "region", "bell"]
    assert (first["px"], first["vm"]["vmid"], first["more"]) == (1, lab, False)
    assert Region(first.fds[2], doorbell=first.fds[3]).vmid == lab
    last, changed = first["vm"]["serial"], first.fds[0]
    os.eventfd_read(changed)
    assert paired.call("proxy_attach", px=1, after=last)["vm"] is None
    paired.call("vm_init", name="second")
    assert os.eventfd_read(changed) == 1
    fresh = paired.call("proxy_attach", px=1, after=last)
    assert (fresh["vm"]["name"], fresh["fds"]) == ("second", ["region", "bell"])
    paired.call("vm_end", vmid=lab)
    assert os.eventfd_read(changed) == 1
    paired.call("proxy_unbind", px=1)
    assert os.eventfd_read(changed) == 1
    refused(paired, Code.NOPROXY, "proxy_attach", px=1)


@covers(("mnx_get2rmt", "mnx_put2lcl"), "EMOLBADPROXY")
def test_nobody_else_is_given_anything(client: Client, lab: int) -> None:
    refused(client, Code.BADPROXY, "proxy_attach")
    refused(client, Code.INVAL, "proxy_attach", role="master")
