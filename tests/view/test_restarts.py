"""A mounted view and its node: restarts of noded, the end of the node, and a VM as big as can be."""

import errno
import os
import subprocess
from pathlib import Path

import pytest
from view.conftest import Mount

import drvs
from drvs.daemon import launch
from drvs.procview import fuse
from support import nodes


@pytest.fixture
def served(node: nodes.RunningNode) -> nodes.RunningNode:
    """A node of each test's own."""
    return node


def test_it_survives_two_nodeds(node: nodes.RunningNode, vm: drvs.VM, mounted: Mount) -> None:
    with open(mounted.where / "lab" / "info", "rb", buffering=0) as held:
        for name in ("once", "twice"):
            node.kill()
            assert str(mounted.where) in fuse.mounted()
            node.restart()
            with vm.bind(name=name):
                assert mounted.text("lab/procs").rstrip().endswith(name)
            held.seek(0)
            assert b"vm_name=lab\n" in held.read(1 << 16)


def test_while_noded_is_away_it_says_so_and_stays(node: nodes.RunningNode, mounted: Mount) -> None:
    node.kill()
    with pytest.raises(OSError) as caught:
        mounted.text("info")
    assert caught.value.errno == errno.EHOSTDOWN
    node.restart()
    assert mounted.text("info").startswith("nodeid=0\n")


def test_it_is_unmounted_when_the_node_ends_even_while_somebody_reads(node: nodes.RunningNode, mounted: Mount) -> None:
    held = os.open(mounted.where / "info", os.O_RDONLY)
    launch.down(node.runtime_dir)
    mounted.wait_gone()
    for late in (lambda: os.read(held, 100), lambda: os.close(held)):
        with pytest.raises(OSError) as caught:
            late()
        assert caught.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    assert os.listdir(mounted.where) == []


def test_another_node_in_the_same_place_is_not_shown(node: nodes.RunningNode, mounted: Mount) -> None:
    launch.down(node.runtime_dir)
    node.restart()
    mounted.wait_gone()


def test_a_noded_that_ends_alone_leaves_it(node: nodes.RunningNode, vm: drvs.VM, mounted: Mount) -> None:
    launch.down(node.runtime_dir, keep=True)
    node.restart()
    assert "vm_name=lab" in mounted.text("lab/info")


@pytest.mark.slow
def test_a_vm_of_thirty_thousand_endpoints_is_listed_in_seconds(
    runtime_dir: Path, needs_fuse: None, mountpoint: Path
) -> None:
    running = nodes.start(runtime_dir, size={"nr_procs": 30_000})
    mounted = Mount(runtime_dir, mountpoint)
    with drvs.connect(runtime_dir) as node:
        vm = node.create_vm("big", nr_sysprocs=67)
        for _ in range(30_000):
            node.client.call("bind", vmid=int(vm.id), region=False)
        for file in ("procs", "stats"):
            shown = subprocess.run(
                ["wc", "-l", mounted.where / "big" / file], capture_output=True, text=True, check=True, timeout=20
            )
            assert shown.stdout.split()[0] == "30001"
    running.stop()
    mounted.wait_gone()
