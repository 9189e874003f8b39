"""The tree of the guide's /proc/drvs, as objects: directories that are looked at anew each time, and files to read.

    root = tree(node)
    print(root.find("VM0/procs").read().text)
    for file in root.files(): print(file.path)

What is shown comes and goes with what it shows: a directory for each VM and for each other node, under its name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from drvs.base.errors import DaemonGone, NotRunning
from drvs.base.flags import VmState
from drvs.procview import sources
from drvs.procview.names import unique_name
from drvs.procview.sources import Listing

if TYPE_CHECKING:
    from drvs.api.info import PeerInfo, VmInfo
    from drvs.api.node import Node


@dataclass(frozen=True)
class File:
    """A file of the view.

    Attributes:
        path: where it stands in the tree, without a slash in front.
    """

    path: str
    _look: Callable[[], Listing]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def read(self) -> Listing:
        """Look, and return the text with the objects it was made from.

        Raises:
            FileNotFoundError: what it shows is gone.
            AccessDenied: the caller is neither bound, nor root, nor the owner of the node.
            DaemonGone: noded does not answer.
        """
        return self._look()


@dataclass(frozen=True)
class Directory:
    """A directory of the view.

    Attributes:
        path: where it stands in the tree; empty for the root.
    """

    path: str
    _list: Callable[[], Iterable[Entry]]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def entries(self) -> dict[str, Entry]:
        """Look, and return what is in it by name.

        Raises:
            DaemonGone: noded does not answer.
        """
        return {entry.name: entry for entry in self._list()}

    def find(self, path: str) -> Entry:
        """Return what stands at a path below this directory.

        Args:
            path: names with slashes between; a slash in front or at the end does no harm.

        Raises:
            FileNotFoundError: nothing does.
            NotADirectoryError: a part on the way is a file.
        """
        at: Entry = self
        for part in path.split("/"):
            if part in ("", "."):
                continue
            if isinstance(at, File):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            found = at.entries().get(part)
            if found is None:
                raise sources.gone(path)
            at = found
        return at

    def files(self) -> Iterator[File]:
        """Iterate over all files below, a directory's own before those of its directories."""
        directories = []
        for entry in self.entries().values():
            if isinstance(entry, File):
                yield entry
            else:
                directories.append(entry)
        for directory in directories:
            yield from directory.files()


Entry = File | Directory


def tree(node: Node) -> Directory:
    """Return the root of the view of a node; nothing is asked of it until somebody looks.

    While the node is not initialised the tree is empty.
    """
    return Directory("", partial(_root, node))


def _root(node: Node) -> Iterator[Entry]:
    try:
        vms, nodes = node.vms(), node.nodes()
    except DaemonGone:
        raise
    except NotRunning:
        return
    yield File("info", partial(sources.info, node))
    yield File("nodes", partial(sources.nodes, node))
    yield Directory("proxies", partial(_proxies, node))
    taken = {"info", "nodes", "proxies"}
    for vm in vms:
        yield _vm(node, vm, unique_name(vm.name, f"VM{vm.vmid}", taken))
    for row in nodes:
        if not row.local:
            yield _node(node, row, unique_name(row.name, f"node{row.node}", taken))


def _proxies(node: Node) -> tuple[Entry, ...]:
    return (
        File("proxies/info", partial(sources.proxies_info, node)),
        File("proxies/procs", partial(sources.proxies_procs, node)),
    )


def _vm(node: Node, vm: VmInfo, name: str) -> Directory:
    """The directory of a VM; one that was ended because its memory is damaged has nothing left but its `info`."""
    looks: dict[str, Callable[..., Listing]] = {"info": sources.vm_info}
    if vm.state == VmState.RUNNING:
        looks |= {"procs": sources.vm_procs, "stats": sources.vm_stats}
    return _of_files(name, {file: partial(look, node, int(vm.vmid), vm.name) for file, look in looks.items()})


def _node(node: Node, row: PeerInfo, name: str) -> Directory:
    looks = {"info": sources.node_info, "stats": sources.node_stats}
    return _of_files(name, {file: partial(look, node, int(row.node), row.name) for file, look in looks.items()})


def _of_files(name: str, looks: dict[str, Callable[[], Listing]]) -> Directory:
    files = tuple(File(f"{name}/{file}", look) for file, look in looks.items())
    return Directory(name, lambda: files)
