"""Where the first act is played: on the three nodes of a lab, or, where there can be no lab, on one node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drvs.demo.cast import CLIENTS
from drvs.demo.scratch import endings_interrupt, interruptions_wait, scratch_node
from drvs.lab import Lab, LabError, LabNode
from drvs.ui.table import plain

NODES = 3
VM_NAME = "demo"


@dataclass(frozen=True)
class Stage:
    """Where it is played.

    Attributes:
        folder: a directory that all processes see; gone afterwards.
        lab: the lab; None: it is played on one node.
    """

    folder: Path
    lab: Lab | None

    @property
    def server_node(self) -> LabNode | None:
        """Where the servers run."""
        return self.lab.node(0) if self.lab else None

    def client_node(self, index: int) -> LabNode | None:
        """Where a client runs: one half of them on each of the other nodes."""
        return self.lab.node(1 + index * (NODES - 1) // CLIENTS) if self.lab else None


@contextlib.contextmanager
def stage(tell: Callable[[str, str], None]) -> Iterator[Stage]:
    """Set the stage, with a VM in which to play, and clear it away when the block ends, however it ends."""
    with endings_interrupt(), contextlib.ExitStack() as stack:
        lab = _lab(stack, tell)
        if lab is None:
            yield stack.enter_context(_one_node(tell))
            return
        kind = "in namespaces of their own" if lab.spec.namespaces else "on loopback addresses"
        tell("lab", f"{NODES} nodes {kind}: {lab.nodes[0].address[0]} to {lab.nodes[-1].address[0]}")
        lab.node(0).drvs("vm", "create", VM_NAME, "--nodes", "all")
        tell("lab", f"VM '{VM_NAME}' spans all of them")
        yield Stage(Path(lab.folder), lab)


def _lab(stack: contextlib.ExitStack, tell: Callable[[str, str], None]) -> Lab | None:
    try:
        with interruptions_wait():
            lab = Lab(NODES)
            stack.callback(_down, lab)
    except (LabError, OSError) as error:
        tell("[warn]lab[/]", f"cannot be had here, so it all happens on one node: {plain(str(error))}")
        return None
    return lab


def _down(lab: Lab) -> None:
    with interruptions_wait():
        lab.down()


@contextlib.contextmanager
def _one_node(tell: Callable[[str, str], None]) -> Iterator[Stage]:
    with scratch_node("demo") as node, node.create_vm(VM_NAME):
        tell("node", f"started for this demo alone, in {node.runtime_dir}")
        yield Stage(Path(node.runtime_dir).parent, None)
