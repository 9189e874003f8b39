"""The guide's dumps: into noded's log, and back as text."""

from typing import TYPE_CHECKING

from drvs.base.codes import Code
from drvs.base.flags import Call
from drvs.daemon import protocol
from drvs.daemon.calls.info import describe_slot, slots_in_use
from drvs.daemon.calls.registry import Answer, Rights, done, handles
from drvs.daemon.dump import format_procs, format_vms

if TYPE_CHECKING:
    from drvs.daemon.node import Node
    from drvs.daemon.server import Connection


@handles(protocol.VmDump, Rights.ANYONE, call=Call.VMDUMP)
def vm_dump(node: "Node", _conn: "Connection", _request: protocol.VmDump) -> Answer:
    """All VMs. Codes: DRVSINIT."""
    text = format_vms(node.vm_info(vm) for _, vm in sorted(node.vms.items()))
    node.log.note(f"vm_dump\n{text}")
    return done(text=text)


@handles(protocol.ProcDump, Rights.ANYONE, call=Call.PROCDUMP)
def proc_dump(node: "Node", _conn: "Connection", request: protocol.ProcDump) -> Answer:
    """All processes of a VM. Codes: DRVSINIT, BADVMID, VMNOTRUN."""
    vm = node.vm(request.vmid, out_of_range=Code.BADVMID)
    text = format_procs(vm.vmid, (describe_slot(vm, slot) for slot in slots_in_use(vm)))
    node.log.note(f"proc_dump\n{text}")
    return done(text=text)
