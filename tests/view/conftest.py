"""A node to look at, for each module of tests; mounts, skipped where the host has no FUSE; nothing stays mounted."""

import os
import select
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import drvs
from drvs.procview import fuse
from drvs.procview.fuse import needs
from support import children, guide, nodes, procfs


class Mount:
    """A view that a test has mounted."""

    def __init__(self, runtime_dir: Path, where: Path, allow_other: bool = False) -> None:
        self.where = where
        before = procfs.descendants(os.getpid())
        self.pid = fuse.mount(str(runtime_dir), str(where), allow_other=allow_other)
        self.processes = procfs.descendants(os.getpid()) - before

    def text(self, path: str) -> str:
        """The text of a file of it."""
        return (self.where / path).read_text()

    def names(self, path: str = "") -> set[str]:
        """What is in a directory of it."""
        return set(os.listdir(self.where / path))

    def wait_gone(self) -> None:
        """Wait until it is mounted no longer, and its processes have ended."""
        wait_unmounted(str(self.where))
        nodes.wait_gone(self.processes)


def wait_unmounted(where: str) -> None:
    """Wait until nothing of ours is mounted there: Linux tells of every change of the mounts."""
    with open("/proc/self/mountinfo") as changes:
        poll = select.poll()
        poll.register(changes, select.POLLPRI | select.POLLERR)
        while where in fuse.mounted():
            assert poll.poll(20_000), f"{where} stays mounted"


@pytest.fixture(scope="module")
def shared_node() -> Iterator[nodes.RunningNode]:
    """A noded that the tests of a module share."""
    with guide.node_of_a_module() as running:
        yield running


@pytest.fixture
def served(shared_node: nodes.RunningNode) -> nodes.RunningNode:
    """The node to look at; modules that end it have one of their own for each test."""
    return shared_node


@pytest.fixture
def connection(served: nodes.RunningNode) -> Iterator[drvs.Node]:
    """A connection to the node, which is as fresh after the test as it was before."""
    with drvs.connect(served.runtime_dir) as connection:
        yield connection
        children.close_all()
        for pair in connection.proxies():
            connection.proxy_pair(pair.px).unbind()
        for info in connection.vms():
            connection.vm(info.vmid).end()


@pytest.fixture
def vm(connection: drvs.Node) -> drvs.VM:
    """A VM named 'lab' there."""
    return connection.create_vm("lab")


@pytest.fixture
def needs_fuse() -> None:
    """Skip the test where the view cannot be mounted."""
    for what, _ in needs.missing():
        pytest.skip(what)


@pytest.fixture
def mountpoint() -> Iterator[Path]:
    """An empty directory of the test's own."""
    with tempfile.TemporaryDirectory(prefix="drvs-view-") as place:
        yield Path(place)


@pytest.fixture
def mounting(needs_fuse: None, served: nodes.RunningNode, mountpoint: Path) -> Iterator[Callable[..., Mount]]:
    """A function that mounts the view of the node; unmounted at the end."""
    made: list[Mount] = []

    def mount(allow_other: bool = False) -> Mount:
        made.append(Mount(served.runtime_dir, mountpoint, allow_other))
        return made[-1]

    yield mount
    if str(mountpoint) in fuse.mounted():
        fuse.umount(str(mountpoint), lazy=True)
    for one in made:
        one.wait_gone()


@pytest.fixture
def mounted(mounting: Callable[..., Mount]) -> Mount:
    """The view of the node, mounted."""
    return mounting()
