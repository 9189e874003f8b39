"""What a lab is to be, as a file in its directory; and what follows from it: addresses and cluster files."""

from __future__ import annotations

import os
import sys

import msgspec

from drvs.cluster import config
from drvs.lab import tipc
from drvs.lab.errors import LabError

NODES_MAX, LOOPBACK_NODES_MAX = 100, 24
PORT = 7411
TIPC_TYPE = 7411
"""The service type of the lab's nodes; the instance is the node id."""

FILE, AUTHORITY = "spec.json", "ca"
TRANSPORTS = ("tcp", "udp", "tipc", "nats")


class Spec(msgspec.Struct, frozen=True):
    """A lab as asked for.

    Attributes:
        name: its name.
        folder: its directory.
        count: how many nodes.
        namespaces: each has namespaces of its own; else it is a daemon on a loopback address.
        network: the first two bytes of their addresses are 10.77, or, on loopback, 127 and this number.
        transport: how the nodes' links talk.
        nats: the NATS server of the cluster, or empty.
        direct: no relay.
        pin: each node on a core of its own.
        insecure: the cluster file says so.
        cluster: `drvs up` is told of the cluster.
        owner: the process that the lab ends with; 0: none.
        options: of `drvs up`, by name.
    """

    name: str
    folder: str
    count: int
    namespaces: bool
    network: int = 0
    transport: str = "tcp"
    nats: str = ""
    direct: bool = False
    pin: bool = False
    insecure: bool = True
    cluster: bool = True
    owner: int = 0
    options: dict[str, int] = {}

    # ---- places ----

    def home(self, node: int) -> str:
        """The directory of a node."""
        return os.path.join(self.folder, str(node))

    def runtime_dir(self, node: int) -> str:
        """The runtime directory of a node."""
        return os.path.join(self.home(node), "run")

    def cluster_file(self, node: int) -> str:
        """The cluster file of a node."""
        return os.path.join(self.home(node), "cluster.toml")

    def environment(self, node: int) -> dict[str, str]:
        """What programs of a node find in their environment, beside what they inherit."""
        return {
            "DRVS_RUNTIME_DIR": self.runtime_dir(node),
            "DRVS_NODE": str(node),
            "DRVS_LAB": self.name,
            MARK: self.home(node),
            "PATH": os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath))),
        }

    # ---- addresses ----

    def host(self, node: int) -> str:
        """The IP address of a node."""
        return f"10.77.0.{node + 1}" if self.namespaces else f"127.{self.network}.0.{node + 1}"

    def address(self, node: int) -> str:
        """Where a node waits for the others."""
        if self.transport == "nats":
            return "nats://"
        return (
            f"tipc://{TIPC_TYPE}:{node}" if self.transport == "tipc" else f"{self.transport}://{self.host(node)}:{PORT}"
        )

    def relay_port(self, node: int, peer: int) -> int:
        """On loopback: the port of `node`'s address at which the relay stands in for `peer`."""
        return PORT if node == peer or self.direct else PORT + 1 + peer

    def address_seen(self, node: int, peer: int) -> str:
        """Where `node` finds `peer`: at its own address, or at the relay's."""
        if self.namespaces or self.transport in ("tipc", "nats") or self.direct or node == peer:
            return self.address(peer)
        return f"{self.transport}://{self.host(node)}:{self.relay_port(node, peer)}"

    def cluster_seen(self, node: int) -> config.Cluster:
        """The cluster as a node sees it."""
        proof = "" if self.insecure else f"../{AUTHORITY}/node-{{id}}"
        settings = config.Settings(name=self.name, insecure=self.insecure, credentials=proof, nats=self.nats)
        entries = [config.NodeEntry(k, f"node{k}", self.address_seen(node, k)) for k in range(self.count)]
        return config.Cluster(settings, tuple(entries))


MARK = "DRVS_LAB_NODE"
"""The variable by which processes of a node are known where no pid namespace holds them together."""


def save(spec: Spec) -> None:
    """Write a spec into its lab's directory."""
    with open(os.path.join(spec.folder, FILE), "wb") as file:
        file.write(msgspec.json.encode(spec))


def load(folder: str) -> Spec:
    """Read the spec of the lab in `folder`.

    Raises:
        FileNotFoundError: there is no lab.
    """
    with open(os.path.join(folder, FILE), "rb") as file:
        return msgspec.json.decode(file.read(), type=Spec)


def check(spec: Spec) -> None:
    """Refuse what cannot be.

    Raises:
        LabError: the text says why.
    """
    most = NODES_MAX if spec.namespaces or spec.direct else LOOPBACK_NODES_MAX
    if not 1 <= spec.count <= most:
        raise LabError(f"a lab has 1 to {most} nodes, not {spec.count}", "Ask for another number.")
    if spec.transport not in TRANSPORTS:
        raise LabError(f"there is no transport {spec.transport!r}", f"Choose one of {', '.join(TRANSPORTS)}.")
    if spec.transport == "nats" and not spec.nats:
        raise LabError("the transport nats needs a server", "Name it: --nats nats://HOST:4222")
    if spec.transport == "tipc" and not spec.namespaces:
        raise LabError("TIPC between nodes on one loopback would tell nothing", "Run the lab as root.")
    if spec.transport == "tipc" and not tipc.present():
        raise LabError("this kernel has no TIPC", "Load it (modprobe tipc), or choose another transport.")
    cores = len(os.sched_getaffinity(0))
    if spec.pin and spec.count > cores:
        raise LabError(f"{spec.count} nodes cannot each have one of {cores} cores", "Ask for fewer nodes, or no --pin.")
