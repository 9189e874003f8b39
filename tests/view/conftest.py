"""Mounting the view in tests: skipped where the host has no FUSE, and nothing stays mounted."""

import os
import select
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drvs.base.errors import DrvsError
from drvs.procview import fuse
from drvs.procview.fuse import needs
from support import nodes, procfs


class Mount:
    """A view that a test has mounted."""

    def __init__(self, runtime_dir: Path, where: Path) -> None:
        self.where = where
        self._runtime_dir = runtime_dir
        before = procfs.descendants(os.getpid())
        self.pid = fuse.mount(str(runtime_dir), str(where))
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


@pytest.fixture
def needs_fuse() -> None:
    """Skip the test where the view cannot be mounted."""
    for what, _ in needs.missing():
        pytest.skip(what)


@pytest.fixture
def mountpoint(runtime_dir: Path) -> Iterator[Path]:
    """An empty directory of the test's own."""
    with tempfile.TemporaryDirectory(prefix="drvs-view-") as place:
        yield Path(place)


@pytest.fixture
def mounting(needs_fuse: None, node: nodes.RunningNode, mountpoint: Path) -> Iterator[Callable[[], Mount]]:
    """A function that mounts the view of `node`; unmounted at the end."""
    made: list[Mount] = []

    def mount() -> Mount:
        made.append(Mount(node.runtime_dir, mountpoint))
        return made[-1]

    yield mount
    if str(mountpoint) in fuse.mounted():
        try:
            fuse.umount(str(mountpoint), lazy=True)
        except DrvsError as error:
            print(error)
    for one in made:
        one.wait_gone()


@pytest.fixture
def mounted(mounting: Callable[[], Mount]) -> Mount:
    """The view of `node`, mounted."""
    return mounting()
