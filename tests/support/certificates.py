"""Certificates for tests: authorities of clusters, and what nodes need of them, good and bad."""

import datetime as dt
import functools
import itertools
import tempfile
import time
from pathlib import Path

from drvs.cluster.ca.authority import Authority
from drvs.cluster.ca.credentials import NodeCredentials

_serial = itertools.count()


def folder() -> Path:
    """Return a new folder, removed with the run's temporary directory."""
    return Path(tempfile.mkdtemp(prefix="ca-"))


def authority(cluster: str = "lab", which: int = 0) -> Authority:
    """Return an authority of a cluster; `which` tells apart several of the same name."""
    return _authority(cluster, which)


@functools.cache
def _authority(cluster: str, which: int) -> Authority:
    return Authority.create(folder(), cluster, start=dt.datetime.now(dt.UTC) - dt.timedelta(100))


def issue(node: int, name: str | None = None, *, of: Authority | None = None, days: int = 30, ago: int = 0) -> Path:
    """Return the folder of a node whose certificate was made `ago` days ago."""
    start = dt.datetime.now(dt.UTC) - dt.timedelta(ago)
    made = of or authority("lab")
    return made.issue(node, name or f"node{node}", days=days, folder=folder() / str(next(_serial)), start=start)


@functools.cache
def credentials(node: int, cluster: str = "lab") -> NodeCredentials:
    """Return what a node proves itself with."""
    return NodeCredentials(issue(node, of=authority(cluster)), time.time())


def expired(node: int) -> NodeCredentials:
    """Return credentials that were good when they were loaded, and are no more."""
    return NodeCredentials(issue(node, days=10, ago=20), time.time() - 15 * 86400)
