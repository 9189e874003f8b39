"""What `proxies/info` and `proxies/procs` say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drvs.base.ids import NONE
from drvs.procview import bitmap
from drvs.procview.listings.words import plain, table

if TYPE_CHECKING:
    from drvs.api.info import PairInfo


def info(rows: Iterable[PairInfo], nr_nodes: int) -> str:
    """Return `proxies/info`: every pair, its processes, and the nodes that it serves."""
    width = bitmap.width_for(nr_nodes)
    return table(
        f"Proxies Flags Sender Receiver --Proxies_Name- {bitmap.ruler(width)}",
        (
            f"{row.px:7} {int(row.flags):5X} {row.sender.tid:6} {row.receiver.tid:8} {plain(row.name):>15} "
            f"{bitmap.marks(bitmap.bits_of(row.nodes), width)}"
            for row in rows
        ),
    )


def procs(rows: Iterable[PairInfo]) -> str:
    """Return `proxies/procs`: the two processes of every pair."""
    return table(
        "PXID -Type- -lpid- -flag- -misc- -getf- -sendt -wmig- name", (line for row in rows for line in _both(row))
    )


def _both(row: PairInfo) -> Iterator[str]:
    for kind, one in (("sender", row.sender), ("recver", row.receiver)):
        yield (
            f"{row.px:4} {kind} {one.tid:6} {int(one.rts):6X} {int(one.misc):6X} {one.getfrom:6} {one.sendto:6} "
            f"{NONE:6} {plain(row.name)}"
        )
