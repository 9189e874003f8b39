"""`Lab`: a cluster on this machine, from Python. The command line is made of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from typing import Any, Self

from drvs.lab import control, kernel, launch, place
from drvs.lab.errors import LabError
from drvs.lab.node import LabNode
from drvs.lab.spec import Spec, check, load


class Lab:
    """A cluster of nodes on this machine, which ends with the `with` block, and with this process in any case.

    Args:
        count: how many nodes; their ids begin at 0.
        name: its name; None: a directory of its own that nobody else finds.
        namespaces: True: each node has namespaces of its own (root); False: loopback addresses; None: what is possible.
        transport: what the nodes' links talk: tcp, udp, tipc or nats.
        nats: the NATS server of the cluster.
        direct: no relay between the nodes: for measurements; `cut` and `slow` are refused.
        pin: each node on a core of its own.
        insecure: whether links go without authentication and encryption.
        cluster: False: nodes that know nothing of each other.
        options: of `drvs up`, by name: `{"procs": 500}`.
    Raises:
        LabError: it cannot be made; the text says why.
    """

    def __init__(
        self,
        count: int = 3,
        *,
        name: str | None = None,
        namespaces: bool | None = None,
        transport: str = "tcp",
        nats: str = "",
        direct: bool = False,
        pin: bool = False,
        insecure: bool = True,
        cluster: bool = True,
        options: dict[str, int] | None = None,
    ) -> None:
        if namespaces is None:
            namespaces = not kernel.namespaces_allowed()
        elif namespaces and (problem := kernel.namespaces_allowed()):
            raise LabError(f"nodes cannot have namespaces of their own: {problem}", "Run it as root, or on loopback.")
        folder = place.folder_of(name) if name else tempfile.mkdtemp(prefix="drvs-lab-")
        asked = Spec(
            name=name or "lab", folder=folder, count=count, namespaces=namespaces, transport=transport, nats=nats,
            direct=direct, pin=pin, insecure=insecure, cluster=cluster, owner=os.getpid(), options=options or {},
        )  # fmt: skip
        try:
            self._start(asked)
        except BaseException:
            if not name:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def _start(self, asked: Spec) -> None:
        import msgspec

        check(asked)
        if not asked.namespaces:
            from drvs.lab.loopback import free_network

            asked = msgspec.structs.replace(asked, network=free_network())
        self._adopt(asked)
        self._supervisor: subprocess.Popen[bytes] | None = launch.start(asked)

    def _adopt(self, spec: Spec) -> None:
        self.spec = spec
        self.nodes = [LabNode(self, number) for number in range(spec.count)]

    @classmethod
    def find(cls, name: str) -> Self:
        """Return the lab of that name, which somebody started.

        Raises:
            NoSuchLab: there is none.
        """
        lab = cls.__new__(cls)
        lab._supervisor = None
        control.ask(place.folder_of(name), "status")
        lab._adopt(load(place.folder_of(name)))
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # ---- the parts ----

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def folder(self) -> str:
        """Its directory."""
        return self.spec.folder

    def node(self, number: int) -> LabNode:
        """Return a node.

        Raises:
            LabError: there is none of that number.
        """
        if not 0 <= number < len(self.nodes):
            raise LabError(f"there is no node {number}", f"The nodes are 0 to {len(self.nodes) - 1}.")
        return self.nodes[number]

    def status(self) -> dict[str, Any]:
        """Return what `drvs lab status --json` shows: `nodes` and `links` with their state."""
        return self.ask("status")

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Send a request to the supervisor and return its answer (see `requests`)."""
        return control.ask(self.spec.folder, verb, **fields)

    # ---- links ----

    def cut(self, a: int, b: int) -> None:
        """Let nothing pass between two nodes."""
        self.ask("cut", a=a, b=b)

    def heal(self, a: int | None = None, b: int | None = None) -> None:
        """Undo `cut` and `slow` between two nodes, or everywhere."""
        self.ask("heal", a=a, b=b)

    def slow(self, a: int, b: int, *, delay_ms: float = 0.0, loss_percent: float = 0.0) -> None:
        """Delay everything between two nodes, in each direction, and lose a part of it."""
        self.ask("slow", a=a, b=b, delay_ms=delay_ms, loss_percent=loss_percent)

    def isolate(self, node: int, others: Iterable[int] | None = None) -> None:
        """Cut a node off from others, or from all of them."""
        for other in range(self.spec.count) if others is None else others:
            if other != node:
                self.cut(node, other)

    # ---- the end ----

    def stay(self) -> None:
        """Let the lab outlive this process."""
        self.ask("stay")
        if self._supervisor is not None:
            self._supervisor.returncode = 0  # not ours to wait for any more

    def down(self) -> None:
        """End the lab; nothing of it is left when this returns. Harmless if it has ended."""
        launch.down(self.spec.folder)
        if self._supervisor is not None:
            self._supervisor.wait()
