"""The guide's two dumps, column by column (4.1.12 and 4.1.13)."""

from collections.abc import Iterable, Mapping
from typing import Any

from drvs.base.ids import NONE

VM_HEADER = "VMID\tFLAGS\tNAME"
PROC_HEADER = "VMID\tNR\tENDP\tLPID\tNODE\tFLAGS\tGETF\tSNDT\tWITM"


def format_vms(vms: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of VMs.

    Canonical: mnx_vm_dump (guide 4.1.12)
    """
    rows = [f"{vm['vmid']}\t{vm['flags']:X}\t{vm['name']}" for vm in vms]
    return "\n".join([VM_HEADER, *rows])


def format_procs(vmid: int, procs: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of a VM's processes; NONE (27342) where nobody is waited for. Flags are hexadecimal.

    Canonical: mnx_proc_dump (guide 4.1.13)
    """
    rows = [
        f"{vmid}\t{p['p_nr']}\t{p['endpoint']}\t{p['pid']}\t{p['node']}\t{p['rts']:X}\t"
        f"{p['getfrom']}\t{p['sendto']}\t{int(NONE)}"
        for p in procs
    ]
    return "\n".join([PROC_HEADER, *rows])
