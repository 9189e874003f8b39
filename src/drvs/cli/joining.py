"""How `drvs up` joins a cluster: what the cluster asks of the node, and the options of its proxies' process."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

import typer

from drvs.base import limits, paths


class Wish(NamedTuple):
    """The options of `drvs up` that are about the cluster."""

    cluster: Path | None
    nats: str | None
    name: str | None
    cluster_name: str
    listen: list[str]
    credentials: Path | None
    insecure: bool
    spin_us: int | None


def join(wish: Wish, node: int | None) -> tuple[int | None, dict[str, int], list[str]]:
    """Return the node's number, the limits that the cluster asks for, and the options of the proxies' process.

    What is wrong with the cluster file, the registry or the credentials shows here, before anything is started.
    """
    if wish.cluster is not None and wish.nats is not None:
        raise typer.BadParameter("--cluster and --nats are two ways to find the others: choose one")
    number, size, options = _by_file(wish.cluster, node) if wish.cluster else _by_registry(wish, node)
    options += ["--insecure"] if wish.insecure else []
    options += [] if wish.spin_us is None else ["--spin-us", str(wish.spin_us)]
    return number, size, options


def _by_file(file: Path, node: int | None) -> tuple[int, dict[str, int], list[str]]:
    from drvs.cluster.config import load

    described, number = load(file), paths.node_id() if node is None else node
    described.entry(number)
    numbers = sorted(described.nodes)
    size = {"nr_nodes": max(limits.NR_NODES, numbers[-1] + 1), "stripe": numbers.index(number), "stripes": len(numbers)}
    return number, size, ["--cluster", str(file.absolute())]


def _by_registry(wish: Wish, node: int | None) -> tuple[int, dict[str, int], list[str]]:
    from drvs.cluster.registry import Registry
    from drvs.cluster.transports.nats_connection import NatsConnection

    assert wish.nats is not None
    name = wish.name or socket.gethostname().partition(".")[0][: limits.NAME_BYTES]
    if wish.credentials is not None:
        node, name = _of_certificate(wish.credentials)
    elif not wish.insecure:
        raise typer.BadParameter("with --nats, give --credentials DIR (made by `drvs ca issue`), or --insecure")
    connection = NatsConnection([server.strip() for server in wish.nats.split(",")], f"drvs up {name}")
    try:
        registry = Registry(connection, wish.cluster_name)
        settings = registry.settings()
        number = registry.claim(name, node)
    finally:
        connection.close()
    size = {
        "nr_nodes": settings.nodes, "stripe": number, "stripes": settings.nodes, "nr_procs": settings.nr_procs,
        "nr_tasks": settings.nr_tasks, "nr_sysprocs": settings.nr_sysprocs,
    }  # fmt: skip
    options = ["--nats", wish.nats, "--cluster-name", wish.cluster_name, "--name", name]
    options += [word for address in wish.listen for word in ("--listen", address)]
    if wish.credentials is not None:
        options += ["--credentials", str(wish.credentials.absolute())]
    return number, size, options


def _of_certificate(folder: Path) -> tuple[int, str]:
    """Number and name of the node that a folder of credentials is for."""
    import time

    from drvs.cluster.ca.credentials import NodeCredentials

    certificate = NodeCredentials(folder, time.time()).own
    return certificate.node, certificate.name
