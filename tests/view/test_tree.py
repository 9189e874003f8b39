"""The view as Python objects: what is in it comes and goes, and no name leads out of it."""

import os
import struct
from collections.abc import Iterator

import pytest

import drvs
from drvs.core import LAYOUT, Region
from drvs.procview import Directory, File, tree
from drvs.procview.names import is_safe, unique_name
from support import nodes
from support.users import as_nobody

from daemon.helpers import wait_until

OF_THE_NODE = ["info", "nodes", "proxies/info", "proxies/procs"]
NOBODY = str(int(drvs.NONE))


@pytest.fixture
def connection(node: nodes.RunningNode) -> Iterator[drvs.Node]:
    """A connection to the node."""
    with drvs.connect(node.runtime_dir) as connection:
        yield connection


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


def test_a_vm_that_was_stopped_for_its_damage_has_its_info_left(vm: drvs.VM) -> None:
    with vm.node.client.call("bind", vmid=int(vm.id), p_nr=5) as reply:
        slots = Region(reply.fds[0], True).layout["slots"]
        offset = slots + reply["slot"] * LAYOUT["slot_bytes"] + LAYOUT["slot.senders_head"]
        os.pwrite(reply.fds[0], struct.pack("=I", 0x12345), offset)
    vm.node.client.call("unbind", vmid=int(vm.id), endpoint=5, check=False)
    wait_until(lambda: paths(vm.node)[4:] == ["lab/info"], "the VM is stopped")
    assert "flags=4\n" in text(vm.node, "lab/info")


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


def test_without_noded_the_tree_says_so(node: nodes.RunningNode, connection: drvs.Node) -> None:
    root = tree(connection)
    assert root.entries()
    node.kill()
    with pytest.raises(drvs.DaemonGone):
        root.entries()
    node.restart()
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
