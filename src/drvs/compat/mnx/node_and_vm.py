"""The node and its VMs (guide 4.1.1 to 4.1.6, 4.1.12)."""

from __future__ import annotations

from typing import Any

from drvs.compat.mnx import constants as mnx
from drvs.compat.mnx import convert
from drvs.compat.mnx.buffers import structure
from drvs.compat.mnx.errno import failed
from drvs.compat.mnx.results import code_of, vm_of
from drvs.compat.mnx.structures import VM_usr, drvs_usr
from drvs.compat.mnx.threads import this_node

# ---- the node


def mnx_drvs_init(nodeid: int, du_addr: Any) -> int:
    """Initialise the node with the limits of a drvs_usr_t; its version fields are filled in.

    Canonical: mnx_drvs_init (guide 4.1.1)
    """
    limits = structure(du_addr, drvs_usr)
    if limits is None:
        return failed(mnx.EMOLRANGE)
    code = code_of(lambda: this_node().init(nodeid, **convert.node_limits(limits)))
    if code == mnx.OK:
        mnx_getdrvsinfo(limits)
    return code


def mnx_drvs_end() -> int:
    """End all VMs and bindings of the node.

    Canonical: mnx_drvs_end (guide 4.1.2)
    """
    return code_of(lambda: this_node().end())


def mnx_getdrvsinfo(drvs_usr_ptr: Any) -> int:
    """Fill in a drvs_usr_t with the node's limits.

    Canonical: mnx_getdrvsinfo (guide 4.1.3)
    """
    target = structure(drvs_usr_ptr, drvs_usr)
    if target is None:
        return failed(mnx.EMOLINVAL)
    return code_of(lambda: convert.fill_node(target, this_node().info()))


# ---- VMs


def mnx_vm_init(vmu_addr: Any) -> int:
    """Create the VM that a VM_usr_t describes; -1 as vm_vmid takes the lowest free number, which is filled in.

    Canonical: mnx_vm_init (guide 4.1.4)
    """
    wanted = structure(vmu_addr, VM_usr)
    if wanted is None:
        return failed(mnx.EMOLRANGE)

    def create() -> None:
        vm = this_node().create_vm(**convert.vm_limits(wanted))
        convert.fill_vm(wanted, vm.info())

    return code_of(create)


def mnx_vm_end(vmid: int) -> int:
    """End a VM; its processes get SIGPIPE.

    Calls that wait in it end with EMOLVMNOTRUN.

    Canonical: mnx_vm_end (guide 4.1.5)
    """
    return code_of(lambda: vm_of(vmid).end())


def mnx_getvminfo(vmid: int, vm_usr_ptr: Any) -> int:
    """Fill in a VM_usr_t; vm_flags tells whether the VM runs.

    Canonical: mnx_getvminfo (guide 4.1.6)
    """
    target = structure(vm_usr_ptr, VM_usr)
    if target is None:
        return failed(mnx.EMOLINVAL)
    return code_of(lambda: convert.fill_vm(target, vm_of(vmid).info()))


def mnx_vm_dump() -> int:
    """Write the table of VMs into the node's log.

    Canonical: mnx_vm_dump (guide 4.1.12)
    """
    return code_of(lambda: this_node().dump())


def mnx_proc_dump(vmid: int) -> int:
    """Write the table of a VM's processes into the node's log.

    Canonical: mnx_proc_dump (guide 4.1.13)
    """
    return code_of(lambda: vm_of(vmid).dump())
