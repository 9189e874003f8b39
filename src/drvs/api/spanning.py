"""VMs that span nodes: which nodes, and waiting until they do.

The standard proxies create the VM on the other nodes and tell the node when it runs there. Until they have, the node
they are missing from is one where the VM does not run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from drvs.base.codes import Code
from drvs.base.errors import make_error

if TYPE_CHECKING:
    from drvs.daemon.client import Client


def chosen(client: Client, span: str | Iterable[int]) -> list[int]:
    """Return the nodes that are meant: "all" is all that the node knows.

    Raises:
        ValueError: another word.
    """
    if not isinstance(span, str):
        return sorted(span)
    if span != "all":
        raise ValueError(f'span is {span!r}: it is "all", or numbers of nodes')
    return sorted(row["node"] for row in client.call("nodes")["nodes"])


def wait_until_spanning(client: Client, vmid: int, span: list[int], timeout: float) -> None:
    """Wait until a VM runs on all nodes of `span`.

    Raises:
        TimedOut: it does not, in time.
    """
    deadline = time.monotonic() + timeout
    after, epoch = 0, ""
    while True:
        nodes = client.call("getvminfo", vmid=vmid)["nodes"]
        missing = [node for node in span if not nodes >> node & 1]
        left = deadline - time.monotonic()
        if not missing:
            return
        if left <= 0:
            raise _not_everywhere(client, vmid, missing)
        news = client.call("events", after=after, epoch=epoch, timeout_ms=int(min(left, 1.0) * 1000) + 1)
        after, epoch = news["last"], news["epoch"]


def _not_everywhere(client: Client, vmid: int, missing: list[int]) -> Exception:
    links = {row["node"]: row for row in client.call("status")["links"]}
    why = [f"node {node} ({links[node]['state']})" if node in links else f"node {node} (no link)" for node in missing]
    detail = f"VM {vmid} runs here, but not yet on {', '.join(why)}"
    hint = "It will run there when that node is connected; `drvs status` shows the links."
    return make_error(Code.TIMEDOUT, "create_vm", vm=vmid, detail=detail, hint=hint)
