"""Proxy pairs: registered, connected, unbound, described, watched; guide 5.1.1 to 5.1.4."""

import signal
from pathlib import Path
from typing import Any

import pytest

from drvs.base.codes import Code
from drvs.base.flags import Connection, Misc, PairFlag
from drvs.base.ids import NONE
from drvs.daemon.client import Client
from support.children import Child, spawn
from support.covers import covers
from support.nodes import RunningNode
from support.users import as_nobody

from daemon.helpers import bind, refused, wait_until

ME = {"sender": None, "receiver": None}


def proxy_program(me: Any) -> int:
    """A child that does nothing but tell of SIGPIPE."""
    signal.signal(signal.SIGPIPE, lambda *_: me.say("pipe"))
    me.say("here")
    me.hear()
    return 0


def proxy() -> Child:
    """A process that can be registered."""
    child = spawn(proxy_program)
    child.wait_line("here")
    return child


def in_use(client: Client) -> list[int]:
    """The pairs that are registered."""
    return [pair["px"] for pair in client.call("proxies")["proxies"]]


@covers("mnx_proxies_bind", "OK", "EMOLNODEBUSY", "EMOLBADNODEID")
def test_a_pair_is_registered_once_under_a_number_that_there_is(client: Client) -> None:
    client.call("proxies_bind", name="one", px=1, **ME)
    assert "is registered already" in refused(client, Code.NODEBUSY, "proxies_bind", name="two", px=1, **ME)
    for px in (-1, 32, 2**40):
        refused(client, Code.BADNODEID, "proxies_bind", name="three", px=px, **ME)
    client.call("proxies_bind", name="last", px=31, **ME)
    assert in_use(client) == [1, 31]


@covers("mnx_proxies_bind", "EMOLBADPID")
@pytest.mark.parametrize("role", ["sender", "receiver"])
def test_a_process_that_does_not_run_is_no_proxy(client: Client, role: str) -> None:
    gone = spawn(lambda me: 0)
    gone.wait()
    for pid in (gone.pid, 0, -1, 2**22 + 1):
        refused(client, Code.BADPID, "proxies_bind", name="x", px=1, **{**ME, role: pid})
    assert in_use(client) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [*((name, Code.INVAL) for name in ("", "a/b", "info", "a\nb")), ("sixteen bytes ---", Code.NAMETOOLONG)],
)
def test_a_name_that_cannot_be_shown_is_refused(client: Client, name: str, code: Code) -> None:
    refused(client, code, "proxies_bind", name=name, px=1, **ME)


def test_pairs_and_vms_have_names_of_their_own(client: Client, lab: int) -> None:
    client.call("proxies_bind", name="carrier", px=1, **ME)
    for op, fields in (
        ("proxies_bind", {"name": "carrier", "px": 2, **ME}),
        ("proxies_bind", {"name": "lab", "px": 2, **ME}),
        ("vm_init", {"name": "carrier"}),
    ):
        assert "has this name" in refused(client, Code.EXIST, op, **fields)


@covers("mnx_proxies_bind", "EMOLNOTDIR", "EMOLBADF")
def test_a_pair_has_a_directory_and_what_is_in_its_way_is_named(client: Client, node: RunningNode) -> None:
    folder = Path(node.runtime_dir) / "proc" / "carrier"
    folder.write_text("")
    assert str(folder) in refused(client, Code.NOTDIR, "proxies_bind", name="carrier", px=1, **ME)
    folder.unlink()
    (folder / "info").mkdir(parents=True)
    assert "info" in refused(client, Code.BADF, "proxies_bind", name="carrier", px=1, **ME)
    assert in_use(client) == []
    client.call("proxies_bind", name="carrier", px=1, **ME)
    assert (folder / "info").read_text() == "drvs cat proxies/info\n"
    client.call("proxy_unbind", px=1)
    assert not folder.exists()


@covers("mnx_proxy_conn", "OK", "EMOLBADNODEID", "EMOLINVAL", "EMOLNOPROXY", "EMOLNODEFREE")
def test_what_a_pair_tells_of_its_connections_is_true_of_its_nodes(client: Client) -> None:
    refused(client, Code.NOPROXY, "proxy_conn", px=1, status=1)
    client.call("proxies_bind", name="one", px=1, **ME)
    client.call("node_up", name="far", node=5, px=1)
    flags = [PairFlag.INUSE, PairFlag.INUSE]
    for status, of_pair, of_node in [(1, 3, 6), (2, 7, 14), (3, 5, 10), (4, 1, 2)]:
        client.call("proxy_conn", px=1, status=status)
        flags = [client.call("getproxyinfo", px=1)["flags"], client.call("getnodeinfo", node=5)["flags"]]
        assert flags == [of_pair, of_node]
    for status in (0, 5, -1):
        refused(client, Code.INVAL, "proxy_conn", px=1, status=status)
    refused(client, Code.BADNODEID, "proxy_conn", px=32, status=1)
    refused(client, Code.NODEFREE, "proxy_conn", px=1, status=1, node=6)
    refused(client, Code.BADNODEID, "proxy_conn", px=1, status=1, node=0)


def test_a_pair_that_leads_to_many_nodes_tells_of_each(client: Client) -> None:
    client.call("proxies_bind", name="hub", px=0, **ME)
    for number in (1, 2):
        client.call("node_up", name=f"n{number}", node=number, px=0)
    for status in (Connection.CONNECT_SENDER, Connection.CONNECT_RECEIVER):
        client.call("proxy_conn", px=0, status=int(status), node=2)
    assert [client.call("getnodeinfo", node=number)["flags"] for number in (1, 2)] == [2, 14]
    assert client.call("getproxyinfo", px=0)["nodes"] == [1, 2]


@covers("mnx_proxy_unbind", "OK", "EMOLBADNODEID")
def test_an_unbound_pair_leads_nowhere(client: Client) -> None:
    client.call("proxies_bind", name="one", px=1, **ME)
    client.call("node_up", name="far", node=5, px=1)
    client.call("proxy_unbind", px=1)
    assert client.call("getnodeinfo", node=5)["flags"] == 0
    refused(client, Code.NOPROXY, "proxy_unbind", px=1)
    refused(client, Code.BADNODEID, "proxy_unbind", px=-1)


@covers("mnx_getproxyinfo", "OK", "EMOLBADNODEID", "EMOLNOPROXY")
def test_a_pair_is_described_as_two_processes(client: Client) -> None:
    refused(client, Code.NOPROXY, "getproxyinfo", px=3)
    refused(client, Code.BADNODEID, "getproxyinfo", px=99)
    sender, receiver = proxy(), proxy()
    client.call("proxies_bind", name="pair", px=3, sender=sender.pid, receiver=receiver.pid)
    client.call("proxy_conn", px=3, status=1)
    info = client.call("getproxyinfo", px=3)
    assert (info["sender"]["pid"], info["receiver"]["pid"]) == (sender.pid, receiver.pid)
    assert (info["sender"]["misc"], info["receiver"]["misc"]) == (Misc.PROXY | Misc.CONNECTED, Misc.PROXY)
    halves = info["sender"], info["receiver"]
    assert {half[field] for half in halves for field in ("getfrom", "sendto", "endpoint")} == {NONE}


@covers("mnx_getep", "EMOLPROXY")
def test_a_proxy_has_no_endpoint(client: Client, lab: int) -> None:
    bind(client, lab)
    other = proxy()
    client.call("proxies_bind", name="pair", px=3, sender=other.pid, receiver=other.pid)
    refused(client, Code.BADPROXY, "getep", pid=other.pid)


# ---- deaths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dead", ["sender", "receiver"])
def test_a_proxy_that_dies_takes_the_pair_along_and_the_other_gets_sigpipe(client: Client, dead: str) -> None:
    halves = {"sender": proxy(), "receiver": proxy()}
    client.call("proxies_bind", name="pair", px=2, **{role: half.pid for role, half in halves.items()})
    client.call("node_up", name="far", node=5, px=2)
    halves.pop(dead).kill()
    halves.popitem()[1].wait_line("pipe")
    wait_until(lambda: in_use(client) == [], "the pair is forgotten")
    assert client.call("getnodeinfo", node=5)["flags"] == 0


def test_one_process_may_be_both_and_its_death_ends_the_pair(client: Client) -> None:
    both = proxy()
    client.call("proxies_bind", name="pair", px=2, sender=both.pid, receiver=both.pid)
    both.kill()
    wait_until(lambda: in_use(client) == [], "the pair is forgotten")


def test_where_there_are_no_pidfds_a_dead_proxy_is_found_all_the_same(runtime_dir: Path, monkeypatch: Any) -> None:
    from support import nodes

    from daemon.helpers import end

    monkeypatch.setenv("DRVS_DISABLE", "pidfd,pidfd_thread")
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        halves = proxy(), proxy()
        client.call("proxies_bind", name="pair", px=2, sender=halves[0].pid, receiver=halves[1].pid)
        halves[0].kill()
        halves[1].wait_line("pipe")
        wait_until(lambda: in_use(client) == [], "the pair is forgotten")
    end(running)


def test_a_thread_may_be_a_proxy_and_its_end_is_noticed(client: Client) -> None:
    child = spawn(_proxy_thread)
    tid = int(child.wait_line())
    client.call("proxies_bind", name="pair", px=2, sender=tid, receiver=child.pid)
    info = client.call("getproxyinfo", px=2)
    assert (info["sender"]["pid"], info["sender"]["tid"]) == (child.pid, tid)
    child.tell("end it")
    wait_until(lambda: in_use(client) == [], "the pair is forgotten")
    child.tell("and all")


def _proxy_thread(me: Any) -> None:
    import threading

    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    me.say(thread.native_id)
    me.hear()
    go.set()
    thread.join()
    me.hear()


def test_drvs_end_ends_all_proxies(client: Client) -> None:
    other = proxy()
    client.call("proxies_bind", name="pair", px=2, sender=other.pid, receiver=None)
    client.call("node_up", name="far", node=5, px=2)
    client.call("drvs_end")
    other.wait_line("pipe")
    client.call("drvs_init", node=0)
    assert in_use(client) == []
    assert [row["node"] for row in client.call("nodes")["nodes"]] == [0]


# ---- a restart of noded --------------------------------------------------------------------------------------------


def test_pairs_and_nodes_survive_a_restart_of_noded(client: Client, node: RunningNode) -> None:
    halves = proxy(), proxy()
    client.call("proxies_bind", name="pair", px=2, sender=halves[0].pid, receiver=halves[1].pid)
    client.call("node_up", name="far", node=5, px=2)
    for status in (1, 2):
        client.call("proxy_conn", px=2, status=status)
    before = client.call("proxies")["proxies"], client.call("nodes")["nodes"]
    node.kill()
    node.restart()
    assert (client.call("proxies")["proxies"], client.call("nodes")["nodes"]) == before
    halves[0].kill()
    halves[1].wait_line("pipe")


def test_a_proxy_that_dies_while_noded_is_dead_is_buried_by_the_next_one(client: Client, node: RunningNode) -> None:
    halves = proxy(), proxy()
    client.call("proxies_bind", name="pair", px=2, sender=halves[0].pid, receiver=halves[1].pid)
    client.call("node_up", name="far", node=5, px=2)
    node.kill()
    halves[0].kill()
    node.restart()
    halves[1].wait_line("pipe")
    wait_until(lambda: in_use(client) == [], "the pair is forgotten")
    assert client.call("getnodeinfo", node=5)["flags"] == 0


# ---- who may -------------------------------------------------------------------------------------------------------

CALLS = {
    "proxies_bind": {"name": "x", "px": 1}, "proxy_conn": {"px": 1, "status": 1}, "proxy_unbind": {"px": 1},
    "getproxyinfo": {"px": 1}, "node_up": {"name": "x", "node": 1, "px": 1}, "node_down": {"node": 1},
    "add_node": {"vmid": 0, "node": 1}, "del_node": {"vmid": 0, "node": 1}, "getnodeinfo": {"node": 1},
    "proxy_attach": {}, "node_name": {"name": "x"},
}  # fmt: skip


def _codes(runtime_dir: str) -> dict[str, int]:
    with Client(runtime_dir) as client:
        return {op: client.call(op, check=False, **fields).code for op, fields in CALLS.items()}


@covers(("mnx_proxies_bind", "mnx_proxy_conn", "mnx_proxy_unbind", "mnx_getproxyinfo", "mnx_node_up"), "-EPERM")
@covers(("mnx_node_down", "mnx_add_node", "mnx_del_node", "mnx_getnodeinfo", "mnx_get2rmt", "mnx_put2lcl"), "-EPERM")
@pytest.mark.root
def test_an_ordinary_user_may_do_none_of_this(lab: int, node: RunningNode) -> None:
    codes = as_nobody(_codes, str(node.runtime_dir))
    assert {op: code for op, code in codes.items() if code != Code.PERM} == {}


@covers(("mnx_proxies_bind", "mnx_proxy_conn", "mnx_proxy_unbind", "mnx_getproxyinfo", "mnx_node_up"), "EMOLDRVSINIT")
@covers(("mnx_node_down", "mnx_add_node", "mnx_del_node", "mnx_getnodeinfo"), "EMOLDRVSINIT")
@covers(("mnx_get2rmt", "mnx_put2lcl"), "EMOLDRVSINIT")
def test_without_initialisation_each_of_them_says_so(client: Client) -> None:
    client.call("drvs_end")
    for op, fields in CALLS.items():
        refused(client, Code.DRVSINIT, op, **fields)
    client.call("drvs_init", node=0)
