"""The labs that figures are taken in. Nodes are joined directly, without the relay, each on a core of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drvs.base.limits import LINK_SPIN_US
from drvs.bench.mechanisms.ours import VM_NAME

if TYPE_CHECKING:
    from drvs.lab import Lab


COPY_LEN_MAX = 64 << 20
"""Of the labs: by default a copy has 512 KiB at most."""


@dataclass(frozen=True)
class Site:
    """What a lab is like.

    Attributes:
        spin: the proxies look on for LINK_SPIN_US after traffic.
        tls: links are authenticated and encrypted.
        one_core: everything runs on one core, instead of each node on its own.
    """

    spin: bool = True
    tls: bool = False
    one_core: bool = False

    @property
    def ours(self) -> str:
        """What rows of drvs are called here: the spin setting goes with every figure."""
        return f"drvs (spin {LINK_SPIN_US} us)" if self.spin else "drvs (no spin)"

    @property
    def place(self) -> str:
        """Where its nodes are."""
        return ("one core" if self.one_core else "two cores") + (", TLS" if self.tls else "")


@contextmanager
def _cores(site: Site, count: int) -> Iterator[bool]:
    """Have what is started run on one core; whether each of `count` nodes can have one of its own."""
    allowed = os.sched_getaffinity(0)
    if site.one_core:
        os.sched_setaffinity(0, {min(allowed)})
    try:
        yield not site.one_core and count <= len(allowed)
    finally:
        os.sched_setaffinity(0, allowed)


def start(site: Site, count: int = 2) -> Lab:
    """Start a lab with the VM of the benchmark on all its nodes."""
    from drvs.lab import Lab

    with _cores(site, count) as pinned:
        spin = LINK_SPIN_US if site.spin else 0
        options = {"spin_us": spin, "copy_len_max": COPY_LEN_MAX}
        lab = Lab(count, direct=True, pin=pinned, insecure=not site.tls, options=options)
    try:
        lab.node(0).drvs("vm", "create", VM_NAME, "--nodes", "all")
    except BaseException:
        lab.down()
        raise
    return lab


@contextmanager
def labs(*sites: Site) -> Iterator[dict[Site, Lab]]:
    """Labs for the block, all at the same time, so that they can take turns; idle ones cost next to nothing."""
    with ExitStack() as stack:
        yield {site: stack.enter_context(start(site)) for site in sites}
