"""What `info`, `procs` and `stats` of a VM say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drvs.base.ids import NONE
from drvs.procview import bitmap
from drvs.procview.listings.words import numbers, pairs, plain

if TYPE_CHECKING:
    from drvs.api.info import ProcessInfo, VmInfo


def info(vm: VmInfo, cpus: int) -> str:
    """Return a VM's `info`: its limits, the nodes that it runs on, and the CPUs of this one.

    Args:
        vm: the VM.
        cpus: bit n is set where its processes may run on CPU n.
    """
    width = bitmap.width_for(vm.nr_nodes)
    ruler = "\n      ".join([*bitmap.rulers(width), bitmap.marks(vm.nodes, width)])
    return (
        pairs(
            ("vmid", vm.vmid),
            ("flags", f"{int(vm.state):X}"),
            ("nr_procs", vm.nr_procs),
            ("nr_tasks", vm.nr_tasks),
            ("nr_sysprocs", vm.nr_sysprocs),
            ("nr_nodes", vm.nr_nodes),
            ("vm_nodes", f"{vm.nodes:X}"),
            ("vm_name", plain(vm.name)),
        )
        + f"nodes {ruler}\n"
        + pairs(("cpumask", f"{cpus:x}"), ("bound", vm.bound))
    )


def procs(rows: Iterable[ProcessInfo]) -> str:
    """Return a VM's `procs`: who is bound, on which node, why it does not run, and on whom it waits."""
    return numbers(
        "VMID p_nr -endp- -lpid- node -flag- -getf- -sndt- -wmig- -prxy- name", (_process(row) for row in rows)
    )


def _process(row: ProcessInfo) -> str:
    return (
        f"{row.vmid:4d} {row.p_nr:4d} {row.endpoint:6d} {row.pid:6d} {row.node:4d} {int(row.rts):6X} {row.getfrom:6d} "
        f"{row.sendto:6d} {NONE:6d} {NONE:6d} {plain(row.name)}"
    )


def stats(rows: Iterable[ProcessInfo]) -> str:
    """Return a VM's `stats`: what each process has sent and copied, on this node and to others."""
    return numbers(
        "VMID p_nr -endp- -lpid- node --lsnt-- --rsnt-- --lcpy-- --rcpy-- name", (_counters(row) for row in rows)
    )


def _counters(row: ProcessInfo) -> str:
    return (
        f"{row.vmid:4d} {row.p_nr:4d} {row.endpoint:6d} {row.pid:6d} {row.node:4d} {row.sent_local:8d} "
        f"{row.sent_remote:8d} {row.copied_local:8d} {row.copied_remote:8d} {plain(row.name)}"
    )
