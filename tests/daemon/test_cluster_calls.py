"""What the process that joins nodes asks and tells: events, names of other nodes; and stripes of slots."""

import os
from pathlib import Path
from typing import Any

import pytest

from drvs.base.codes import Code
from drvs.base.ids import SELF
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn
from support.nodes import RunningNode

from daemon.helpers import bind, end, holder_program, refused

ME = {"sender": None, "receiver": None}
FAR = 5


def read(client: Client, before: Any = None, timeout_ms: int = 0) -> Any:
    """What has happened since an answer of the same kind."""
    known = {} if before is None else {"after": before["last"], "epoch": before["epoch"]}
    return client.call("events", timeout_ms=timeout_ms, **known)


def kinds(answer: Any) -> list[tuple[Any, ...]]:
    """The events of an answer, in short."""
    return [(event["kind"], event["vmid"], *filter(None, (event.get("name"),))) for event in answer["events"]]


# ---- events ----------------------------------------------------------------------------------------------------------


def test_a_reader_learns_of_vms_and_names_in_order(client: Client) -> None:
    first = read(client)
    assert (first["anew"], first["events"]) == (True, [])
    vmid = client.call("vm_init", name="lab", nodes=1 << FAR)["vmid"]
    reply = bind(client, vmid, name="server")
    bind(client, vmid)  # without a name: nobody else's affair until it ends
    client.call("unbind", vmid=vmid, endpoint=reply["endpoint"])
    client.call("vm_end", vmid=vmid)
    found = read(client, first)
    assert kinds(found)[:3] == [("vm_started", vmid, "lab"), ("bound", vmid, "server"), ("unbound", vmid, "server")]
    assert kinds(found)[-1] == ("vm_ended", vmid, "lab")
    assert found["events"][0]["nodes"] == [0, FAR]
    assert found["events"][1]["endpoint"] == reply["endpoint"]
    assert read(client, found)["events"] == []


def test_a_reader_is_held_until_something_happens(client: Client, node: RunningNode) -> None:
    before = read(client)

    def wait(me: Any) -> list[Any]:
        with Client(node.runtime_dir) as own:
            me.say("here")
            return list(kinds(read(own, before, timeout_ms=-1)))

    child = spawn(wait)
    child.wait_line("here")
    client.call("vm_init", name="lab")
    assert child.result() == [("vm_started", 0, "lab")]


def test_a_reader_whose_time_is_over_has_nothing(client: Client) -> None:
    before = read(client)
    found = read(client, before, timeout_ms=20)
    assert (found["events"], found["anew"], found["last"]) == ([], False, before["last"])


def test_a_reader_of_an_earlier_noded_begins_anew(client: Client, lab: int, node: RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, None, "server")
    endpoint = int(child.wait_line())
    before = read(client)
    assert kinds(before) == [("vm_started", lab, "lab"), ("bound", lab, "server")]
    node.kill()
    node.restart()
    found = read(client, before)
    assert found["anew"]
    assert found["epoch"] != before["epoch"]
    assert kinds(found) == kinds(before)
    assert found["events"][1]["endpoint"] == endpoint


def test_a_reader_that_is_too_slow_begins_anew(runtime_dir: Path, nothing_left: None, monkeypatch: Any) -> None:
    monkeypatch.setenv("DRVS_LIMITS", "events=4")
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        before = read(client)
        for number in range(5):
            client.call("vm_init", name=f"vm{number}")
        found = read(client, before)
        assert found["anew"]
        assert len(found["events"]) == 5
    end(running)


def test_the_nodes_of_a_vm_are_an_event_and_a_silent_end_too(client: Client, lab: int) -> None:
    client.call("proxies_bind", name="pair", px=1, **ME)
    client.call("node_up", name="far", node=FAR, px=1)
    before = read(client)
    nobody = bind(client, lab)
    client.call("unbind", vmid=lab, endpoint=nobody["endpoint"])
    assert read(client, before)["events"] == []  # it has no other nodes that could know of it
    client.call("add_node", vmid=lab, node=FAR)
    nobody = bind(client, lab)
    client.call("unbind", vmid=lab, endpoint=nobody["endpoint"])
    found = read(client, before)["events"]
    assert [event["kind"] for event in found] == ["vm_nodes", "unbound"]
    assert found[0]["nodes"] == [0, FAR]
    assert found[1]["endpoint"] == nobody["endpoint"]


def test_who_waits_for_events_is_told_of_the_end_of_the_node(client: Client, node: RunningNode) -> None:
    before = read(client)

    def wait(me: Any) -> int:
        with Client(node.runtime_dir) as own:
            me.say("here")
            return int(own.call("events", check=False, after=before["last"], epoch=before["epoch"], timeout_ms=-1).code)

    child = spawn(wait)
    child.wait_line("here")
    client.call("drvs_end")
    assert child.result() == Code.DRVSINIT
    client.call("drvs_init", node=0)


# ---- names of other nodes --------------------------------------------------------------------------------------------


@pytest.fixture
def linked(client: Client, lab: int) -> Client:
    """A client, with a node that runs the VM too."""
    client.call("proxies_bind", name="pair", px=1, **ME)
    client.call("node_up", name="far", node=FAR, px=1)
    client.call("add_node", vmid=lab, node=FAR)
    return client


def test_a_name_that_a_node_told_is_looked_up_and_its_owner_bound(linked: Client, lab: int) -> None:
    linked.call("names_set", node=FAR, vmid=lab, name="server", endpoint=10)
    assert linked.call("getprocinfo", vmid=lab, p_nr=10)["kind"] is None
    assert linked.call("lookup", vmid=lab, name="server")["endpoint"] == 10
    info = linked.call("getprocinfo", vmid=lab, p_nr=10)
    assert (info["kind"], info["node"], info["name"]) == ("remote", FAR, "server")
    assert linked.call("names")["names"] == [{"node": FAR, "vmid": lab, "name": "server", "endpoint": 10}]


def test_a_lookup_that_waits_is_answered_when_the_name_comes(linked: Client, lab: int, node: RunningNode) -> None:
    def wait(me: Any) -> int:
        with Client(node.runtime_dir) as own:
            me.say("here")
            return int(own.call("lookup", vmid=lab, name="server", timeout_ms=20000)["endpoint"])

    child = spawn(wait)
    child.wait_line("here")
    linked.call("names_set", node=FAR, vmid=lab, name="server", endpoint=10)
    assert child.result() == 10


def test_a_name_whose_node_is_not_reached_is_nobodys_yet(linked: Client, lab: int) -> None:
    linked.call("names_set", node=FAR + 1, vmid=lab, name="server", endpoint=10)
    refused(linked, Code.NOTBIND, "lookup", vmid=lab, name="server")
    refused(linked, Code.EXIST, "bind", vmid=lab, name="server")


def test_a_dropped_name_is_gone_and_its_owner_unbound(linked: Client, lab: int) -> None:
    linked.call("names_set", node=FAR, vmid=lab, name="server", endpoint=10)
    linked.call("lookup", vmid=lab, name="server")
    linked.call("names_drop", node=FAR, vmid=lab, endpoint=11)  # of somebody that nobody knows here
    linked.call("names_drop", node=FAR, vmid=lab, endpoint=10)
    refused(linked, Code.NOTBIND, "lookup", vmid=lab, name="server")
    assert linked.call("getprocinfo", vmid=lab, p_nr=10)["kind"] is None
    assert linked.call("audit", vmid=lab)["findings"] == []


def test_a_name_of_an_earlier_owner_of_a_slot_leaves_the_later_one_alone(linked: Client, lab: int) -> None:
    vm = linked.call("getvminfo", vmid=lab)
    slot, generation = vm["nr_sysprocs"] + 1, vm["nr_tasks"] + SELF + 1
    earlier, later = slot + generation, slot + 2 * generation
    linked.call("names_set", node=FAR, vmid=lab, name="server", endpoint=earlier)
    linked.call("rmtbind", vmid=lab, name="", endpoint=later, node=FAR)
    refused(linked, Code.NOTBIND, "lookup", vmid=lab, name="server")
    assert [row["endpoint"] for row in linked.call("procs", vmid=lab)["procs"]] == [later]


def test_a_node_that_lost_everything_takes_all_its_processes_along(linked: Client, lab: int) -> None:
    linked.call("names_set", node=FAR, vmid=lab, name="server", endpoint=10)
    linked.call("lookup", vmid=lab, name="server")
    linked.call("rmtbind", vmid=lab, name="", endpoint=11, node=FAR)
    linked.call("names_clear", node=FAR)
    assert linked.call("names")["names"] == []
    assert linked.call("procs", vmid=lab)["procs"] == []


def test_a_name_here_comes_before_one_elsewhere_and_moves_with_its_endpoint(linked: Client, lab: int) -> None:
    own = bind(linked, lab, name="server")
    linked.call("names_set", node=FAR, vmid=lab, name="server", endpoint=10)
    assert linked.call("lookup", vmid=lab, name="server")["endpoint"] == own["endpoint"]
    linked.call("names_set", node=FAR, vmid=lab, name="renamed", endpoint=10)
    assert linked.call("lookup", vmid=lab, name="renamed")["endpoint"] == 10
    assert [row["name"] for row in linked.call("names")["names"]] == ["renamed"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"node": 0}, Code.BADNODEID), ({"node": 32}, Code.BADNODEID), ({"vmid": 99}, Code.BADVMID),
        ({"name": ""}, Code.INVAL), ({"name": "sixteen bytes ---"}, Code.NAMETOOLONG),
        ({"endpoint": 1 << 31}, Code.INVAL),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused(linked: Client, lab: int, fields: dict[str, Any], code: Code) -> None:
    refused(linked, code, "names_set", **{"node": FAR, "vmid": lab, "name": "x", "endpoint": 10} | fields)


# ---- stripes ---------------------------------------------------------------------------------------------------------


def test_a_node_with_a_stripe_chooses_its_own_slots_only(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir, node=1, size={"nr_procs": 40, "stripe": 1, "stripes": 3})
    with Client(runtime_dir) as client:
        vmid = client.call("vm_init", name="lab")["vmid"]
        mine = [bind(client, vmid)["p_nr"] for _ in range(4)]
        assert mine == [30, 33, 36, 39]
        assert "stripe 1" in refused(client, Code.BUSY, "bind", vmid=vmid)
        bind(client, vmid, p_nr=31)  # asked for by its number: anybody's
        client.call("unbind", vmid=vmid, endpoint=client.call("getprocinfo", vmid=vmid, p_nr=31)["endpoint"])
        client.call("unbind", vmid=vmid, endpoint=client.call("getprocinfo", vmid=vmid, p_nr=33)["endpoint"])
        assert bind(client, vmid)["p_nr"] == 33
        running.kill()
        running.restart()
        client.call("unbind", vmid=vmid, endpoint=client.call("getprocinfo", vmid=vmid, p_nr=36)["endpoint"])
        assert bind(client, vmid)["p_nr"] == 36
    end(running)


@pytest.mark.parametrize("size", [{"stripe": 1}, {"stripe": -1}, {"stripe": 2, "stripes": 2}, {"stripes": 0}])
def test_a_stripe_is_one_of_those_that_there_are(runtime_dir: Path, nothing_left: None, size: dict[str, int]) -> None:
    running = nodes.start(runtime_dir, init=False)
    with Client(runtime_dir) as client:
        refused(client, Code.RANGE, "drvs_init", node=0, **size)
        assert os.path.exists(runtime_dir)
    end(running)
