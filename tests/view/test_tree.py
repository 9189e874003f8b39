"""The view as Python objects: what is in it comes and goes, and no name leads out of it."""

import os
import stat
import struct
import threading
import time

import msgspec
import pytest
from golden.records import LAB, NODE, pair, peer
from hypothesis import example, given
from hypothesis import strategies as st

import drvs
from drvs.api.carrier import Carrier
from drvs.api.info import NodeInfo, PairInfo, PeerInfo, VmInfo
from drvs.core import LAYOUT, Region
from drvs.procview import Directory, File, tree
from drvs.procview.fuse.filesystem import Filesystem
from drvs.procview.names import is_safe, unique_name
from support import nodes
from support.users import as_nobody

OF_THE_NODE = ["info", "nodes", "proxies/info", "proxies/procs"]
NOBODY = str(int(drvs.NONE))


def paths(connection: drvs.Node) -> list[str]:
    """The paths of all files."""
    return [file.path for file in tree(connection).files()]


def text(connection: drvs.Node, path: str) -> str:
    """The text of a file."""
    found = tree(connection).find(path)
    assert isinstance(found, File)
    return found.read().text


def lines(connection: drvs.Node, path: str) -> list[list[str]]:
    """The words of a table, without its heading."""
    return [line.split() for line in text(connection, path).splitlines()[1:]]


# ---- what there is ----


def test_vms_have_a_directory_of_their_name_while_they_run(connection: drvs.Node) -> None:
    assert paths(connection) == OF_THE_NODE
    lab = connection.create_vm("lab")
    connection.create_vm("VM7", vmid=7)
    assert paths(connection)[4:] == [f"{vm}/{file}" for vm in ("lab", "VM7") for file in ("info", "procs", "stats")]
    lab.end()
    assert paths(connection)[4:] == ["VM7/info", "VM7/procs", "VM7/stats"]


def test_endpoints_have_a_line_while_they_are_bound(vm: drvs.VM) -> None:
    one, other = vm.bind(5, name="five"), vm.bind(6)
    other.notify(one.endpoint)
    pid, number = str(os.getpid()), str(vm.id)
    assert lines(vm.node, "lab/procs") == [
        [number, "5", "5", pid, "0", "0", NOBODY, NOBODY, NOBODY, NOBODY, "five"],
        [number, "6", "6", pid, "0", "0", NOBODY, NOBODY, NOBODY, NOBODY],
    ]
    assert [line[4:9] for line in lines(vm.node, "lab/stats")] == [list("00000"), list("01000")]
    other.unbind()
    assert [line[-1] for line in lines(vm.node, "lab/procs")] == ["five"]
    one.unbind()
    assert lines(vm.node, "lab/procs") == []


def test_the_objects_are_those_of_the_text(vm: drvs.VM) -> None:
    with vm.bind(5, name="five"):
        found = tree(vm.node).find("/lab/procs/")
        assert isinstance(found, File)
        (process,) = found.read().objects
        assert (process.p_nr, process.name, process.getfrom) == (5, "five", drvs.NONE)


def test_a_node_that_is_not_initialised_shows_nothing(connection: drvs.Node) -> None:
    info = tree(connection).find("info")
    connection.end()
    assert paths(connection) == []
    with pytest.raises(FileNotFoundError):
        info.read()  # type: ignore[union-attr]
    connection.init(3)
    assert paths(connection) == OF_THE_NODE
    assert text(connection, "info").startswith("nodeid=3\n")
    connection.end()
    connection.init(0)


def test_a_vm_that_was_stopped_for_its_damage_has_its_info_left(vm: drvs.VM) -> None:
    with vm.node.client.call("bind", vmid=int(vm.id), p_nr=5) as reply:
        slots = Region(reply.fds[0], True).layout["slots"]
        offset = slots + reply["slot"] * LAYOUT["slot_bytes"] + LAYOUT["slot.senders_head"]
        os.pwrite(reply.fds[0], struct.pack("=I", 0x12345), offset)
    vm.node.client.call("unbind", vmid=int(vm.id), endpoint=5, check=False)
    deadline = time.monotonic() + 20
    while paths(vm.node)[4:] != ["lab/info"]:  # noded's watchdog finds it, and tells nobody
        assert time.monotonic() < deadline, paths(vm.node)
    assert "flags=4\n" in text(vm.node, "lab/info")


# ---- other nodes and the proxies that lead there ----


@pytest.fixture
def linked(vm: drvs.VM) -> drvs.Node:
    """A node with a pair 1, in whose process the test runs, that leads to node 5, where VM lab runs too."""
    vm.node.bind_proxies("carrier", 1)
    vm.node.node_up("far", 5, 1)
    vm.add_node(5)
    return vm.node


def test_nodes_have_a_line_and_a_directory_while_they_are_known(linked: drvs.Node) -> None:
    lab = "-" * 31 + "X"
    assert lines(linked, "nodes") == [["0", "6", "-1", lab, "node0"], ["5", "2", "1", lab, "far"]]
    assert paths(linked)[-2:] == ["far/info", "far/stats"]
    pid = str(os.getpid())
    assert lines(linked, "far/info") == [["5", "2", pid, pid, lab, "far"]]
    assert lines(linked, "far/stats") == [["5", "2", "1", "0", "0", "far"]]
    far = tree(linked).find("far/info")
    assert isinstance(far, File)
    linked.node_up("moved", 5, 1)
    assert paths(linked)[-2:] == ["moved/info", "moved/stats"]
    with pytest.raises(FileNotFoundError):
        far.read()
    linked.node_down(5)
    assert [line[-1] for line in lines(linked, "nodes")] == ["node0"]
    assert paths(linked)[4:] == ["lab/info", "lab/procs", "lab/stats"]


def test_pairs_of_proxies_are_listed_with_their_processes_and_nodes(linked: drvs.Node) -> None:
    pid = str(os.getpid())
    assert lines(linked, "proxies/info") == [["1", "1", pid, pid, "carrier", "-" * 26 + "X-----"]]
    pair = linked.proxy_pair(1)
    pair.connect()
    assert lines(linked, "far/info")[0][:2] == ["5", "E"]
    rest = ["3", *[NOBODY] * 3, "carrier"]
    assert lines(linked, "proxies/procs") == [["1", kind, pid, "0", *rest] for kind in ("sender", "recver")]
    pair.unbind()
    assert lines(linked, "proxies/info") == lines(linked, "proxies/procs") == []
    assert paths(linked)[4:] == ["lab/info", "lab/procs", "lab/stats"]


def test_what_the_proxies_carry_is_counted_for_each_node(linked: drvs.Node) -> None:
    linked.proxy_pair(1).connect()
    lab = linked.vm("lab")
    far = lab.rmtbind("SoyRemoto", 1, 5)
    sender = Carrier(linked.client, 1, "sender")
    with lab.bind(40, name="client") as me:
        calling = threading.Thread(target=me.notify, args=(far,))
        calling.start()
        while not sender.take():
            os.sched_yield()
        calling.join()
        assert lines(linked, "lab/stats")[1][5:] == ["0", "1", "0", "0", "client"]
    assert lines(linked, "far/stats") == [["5", "E", "1", "1", "0", "far"]]
    sender.close()


def test_a_vm_shows_the_nodes_it_runs_on_and_where_its_processes_are(linked: drvs.Node) -> None:
    shown = text(linked, "lab/info")
    assert "vm_nodes=21\n" in shown
    assert "-" * 26 + "X----X\n" in shown
    linked.vm("lab").rmtbind("SoyRemoto", 1, 5)
    assert lines(linked, "lab/procs") == [["0", "1", "1", "-1", "5", "1000", *[NOBODY] * 4, "SoyRemoto"]]
    linked.vm("lab").remove_node(5)
    assert "vm_nodes=1\n" in text(linked, "lab/info")


def test_a_node_that_is_called_like_a_vm_has_a_directory_of_its_own(linked: drvs.Node) -> None:
    linked.node_up("lab", 5, 1)
    assert paths(linked)[4:] == ["lab/info", "lab/procs", "lab/stats", "lab~node5/info", "lab~node5/stats"]
    assert lines(linked, "lab~node5/info")[0][-1] == "lab"


# ---- what is gone ----


@pytest.mark.parametrize("path", ["nope", "lab/nope", "..", "../info", "lab/../info", "lab//../..", "\0", "lab/\n"])
def test_nothing_stands_at_other_paths(vm: drvs.VM, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        tree(vm.node).find(path)


def test_a_file_is_no_directory(vm: drvs.VM) -> None:
    with pytest.raises(NotADirectoryError):
        tree(vm.node).find("lab/info/x")


@pytest.mark.parametrize("file", ["info", "procs", "stats"])
def test_a_file_of_a_vm_that_has_ended_is_gone_even_if_another_has_its_number(vm: drvs.VM, file: str) -> None:
    found = tree(vm.node).find(f"lab/{file}")
    assert isinstance(found, File)
    vm.end()
    with pytest.raises(FileNotFoundError):
        found.read()
    vm.node.create_vm("other", vmid=int(vm.id))
    with pytest.raises(FileNotFoundError):
        found.read()


def test_without_noded_the_tree_says_so(served: nodes.RunningNode, connection: drvs.Node) -> None:
    root = tree(connection)
    assert root.entries()
    served.kill()
    with pytest.raises(drvs.DaemonGone):
        root.entries()
    served.restart()
    assert root.entries()


def _as_a_stranger(runtime_dir: str) -> tuple[list[str], list[str]]:
    """What a user sees who is not bound: all names, and the errors of what he may not read."""
    with drvs.connect(runtime_dir) as connection:
        files = list(tree(connection).files())
        denied = []
        for file in files:
            try:
                file.read()
            except drvs.AccessDenied:
                denied.append(file.path)
        return [file.path for file in files], denied


@pytest.mark.root
def test_a_stranger_sees_the_names_and_may_read_what_noded_tells_everyone(vm: drvs.VM) -> None:
    names, denied = as_nobody(_as_a_stranger, vm.node.runtime_dir)
    assert names == [*OF_THE_NODE, "lab/info", "lab/procs", "lab/stats"]
    assert {"lab/procs", "lab/stats"} <= set(denied)


# ---- names ----


@pytest.mark.parametrize("name", ["ü", "a b", "~", "...", "名", "-rf", "$(x)", "%s", "lab\\"])
def test_any_name_that_noded_takes_is_a_directory_of_that_name(connection: drvs.Node, name: str) -> None:
    connection.create_vm(name)
    found = tree(connection).find(f"{name}/info")
    assert isinstance(found, File)
    assert f"vm_name={name}\n" in found.read().text


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "/", "a/b", "a\0b", "a\nb", "\x1b[2J", "\u202e", "\udcff"])
def test_a_name_that_could_lead_out_gives_way_to_the_number(name: str) -> None:
    assert not is_safe(name)
    assert unique_name(name, "node3", set()) == "node3"


def test_two_of_one_name_are_told_apart() -> None:
    taken = {"info", "nodes", "proxies"}
    asked = [("lab", "VM0"), ("lab", "node1"), ("info", "node2"), ("", "node1"), ("lab~node1", "node4"), ("..", "VM0")]
    given = [unique_name(name, number, taken) for name, number in asked]
    assert given == ["lab", "lab~node1", "info~node2", "node1", "lab~node1~node4", "VM0"]


def test_entries_have_the_name_they_are_found_by(vm: drvs.VM) -> None:
    def walk(directory: Directory) -> None:
        for name, entry in directory.entries().items():
            found = tree(vm.node).find(entry.path)
            assert (name, entry.path, type(entry)) == (entry.name, found.path, type(found))
            if isinstance(entry, Directory):
                walk(entry)

    walk(tree(vm.node))


class Hostile:
    """What a node would say whose VM and peers are called as they please; only what the tree asks."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def vms(self) -> list[VmInfo]:
        """One VM, called by the first name."""
        return [msgspec.structs.replace(LAB, name=self.names[0])]

    def nodes(self) -> list[PeerInfo]:
        """A node for each name."""
        return [msgspec.structs.replace(peer(n, 2, 1), name=name) for n, name in enumerate(self.names, 1)]

    def proxies(self) -> list[PairInfo]:
        """A pair for each name."""
        return [pair(n, name, 1, 1) for n, name in enumerate(self.names)]

    def info(self) -> NodeInfo:
        """Its limits."""
        return NODE


@given(st.lists(st.text(max_size=20) | st.sampled_from(["..", ".", "info", "proxies", "VM0", "node1"]), min_size=1))
@example(["../../etc/passwd", "..", "/", "a/b", "\0", "\n", "\udcff", "info", "node1", "VM0", "VM0"])
def test_whatever_the_names_are_every_file_has_one_path_below_the_root(names: list[str]) -> None:
    root = tree(Hostile(names))  # type: ignore[arg-type]
    system = Filesystem(root, lambda: None)
    found = [file.path for file in root.files()]
    assert len(found) == len(set(found)) == len(OF_THE_NODE) + 3 + 2 * len(names)
    for path in found:
        parts = path.split("/")
        assert len(parts) <= 2
        assert all(is_safe(part) for part in parts)
        assert stat.S_ISREG(system.getattr(f"/{path}")["st_mode"])
    assert set(system.readdir("/", 0)) == {".", "..", *(path.split("/")[0] for path in found)}


def test_hostile_names_cannot_forge_a_line() -> None:
    node = Hostile(["x\n   7     6      -1 forged", "\x1b[31mred", "a\tb\rc"])
    for path in ("nodes", "proxies/info", "proxies/procs", "node1/info", "node1/stats"):
        found = tree(node).find(path)  # type: ignore[arg-type]
        assert isinstance(found, File)
        shown = found.read().text
        assert all(line.isprintable() for line in shown.splitlines())
        assert len(shown.splitlines()) in (2, 4, 7)
