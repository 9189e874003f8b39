"""Between the guide's structures and drvs's records."""

from __future__ import annotations

from typing import Any

from drvs.api import NodeInfo, PairInfo, PeerInfo, Privileges, ProcessInfo, VmInfo
from drvs.base.clock import NS_PER_S
from drvs.base.ids import NONE
from drvs.compat.mnx.constants import MAXNODENAME, MAXPROCNAME, MAXVMNAME, MINIX_HZ, NR_SYS_PROCS
from drvs.compat.mnx.structures import VM_usr, drvs_usr, node_usr, priv_usr, proc_usr, timespec

_WORD = 2**64 - 1


def node_limits(usr: drvs_usr) -> dict[str, Any]:
    """Return the limits that a drvs_usr_t asks for; a program that does not know the copy limits leaves 0 there."""
    return {
        "nr_vms": usr.d_nr_vms,
        "nr_nodes": usr.d_nr_nodes,
        "nr_procs": usr.d_nr_procs,
        "nr_tasks": usr.d_nr_tasks,
        "nr_sysprocs": usr.d_nr_sysprocs,
        "copy_buf": usr.d_max_copybuf or None,
        "copy_len_max": usr.d_max_copylen or None,
        "debug": usr.d_dbglvl,
    }


def fill_node(usr: drvs_usr, info: NodeInfo) -> None:
    """Write a node's limits into a drvs_usr_t."""
    usr.d_nr_vms, usr.d_nr_nodes = info.nr_vms, info.nr_nodes
    usr.d_nr_procs, usr.d_nr_tasks, usr.d_nr_sysprocs = info.nr_procs, info.nr_tasks, info.nr_sysprocs
    usr.d_max_copybuf, usr.d_max_copylen = info.copy_buf, info.copy_len_max
    usr.d_dbglvl = int(info.debug)
    usr.d_version, usr.d_subver = info.version


def vm_limits(usr: VM_usr) -> dict[str, Any]:
    """Return what a VM_usr_t asks for.

    A name that fills its 16 bytes without a final NUL is too long, and is passed on as that.
    """
    return {
        "name": bytes(usr.vm_name).decode(errors="surrogateescape"),
        "vmid": None if usr.vm_vmid == -1 else usr.vm_vmid,
        "nr_procs": usr.vm_nr_procs,
        "nr_tasks": usr.vm_nr_tasks,
        "nr_sysprocs": usr.vm_nr_sysprocs,
    }


def fill_vm(usr: VM_usr, info: VmInfo) -> None:
    """Write a VM's limits and state into a VM_usr_t."""
    usr.vm_vmid, usr.vm_flags = info.vmid, int(info.state)
    usr.vm_nr_procs, usr.vm_nr_tasks, usr.vm_nr_sysprocs = info.nr_procs, info.nr_tasks, info.nr_sysprocs
    usr.vm_nr_nodes, usr.vm_nodes = info.nr_nodes, info.nodes & _WORD
    usr.vm_name = info.name.encode(errors="surrogateescape")[: MAXVMNAME - 1]
    usr.vm_cpumask.bits[0] = 0


def fill_process(usr: proc_usr, info: ProcessInfo) -> None:
    """Write a process into a proc_usr_t."""
    usr.p_nr, usr.p_endpoint, usr.p_vmid = info.p_nr, info.endpoint, info.vmid
    usr.p_rts_flags, usr.p_misc_flags = int(info.rts), int(info.misc)
    usr.p_lpid, usr.p_nodeid = info.pid, info.node
    usr.p_nodemap = 1 << info.node & _WORD
    usr.p_getfrom, usr.p_sendto = info.getfrom, info.sendto
    usr.p_waitmigr, usr.p_proxy = NONE, info.px
    usr.p_lclsent, usr.p_rmtsent = info.sent_local, info.sent_remote
    usr.p_name = info.name.encode(errors="surrogateescape")[: MAXPROCNAME - 1]


def fill_proxy(usr: proc_usr, pair: PairInfo, proxy: ProcessInfo) -> None:
    """Write one process of a proxy pair into a proc_usr_t."""
    fill_process(usr, proxy)
    usr.p_lpid = proxy.tid
    usr.p_nodemap = sum(1 << node for node in pair.nodes) & _WORD


def fill_peer(usr: node_usr, info: PeerInfo) -> None:
    """Write a node into a node_usr_t."""
    usr.n_nodeid, usr.n_flags, usr.n_proxies = info.node, int(info.flags), info.px
    usr.n_vms = sum(1 << vmid for vmid in info.vms) & _WORD
    usr.n_stimestamp = timespec(*divmod(info.sent_ns, NS_PER_S))
    usr.n_rtimestamp = timespec(*divmod(info.received_ns, NS_PER_S))
    usr.n_name = info.name.encode(errors="surrogateescape")[: MAXNODENAME - 1]


def privileges(usr: priv_usr) -> Privileges:
    """Return the privileges that a priv_usr_t asks for; bits that a mask has no room for are like its highest one."""
    return Privileges(
        id=usr.s_id,
        warn=usr.s_warn,
        level=usr.s_level,
        traps=usr.s_trap_mask & 0xFFFFFFFF,
        calls=usr.s_call_mask & _WORD,
        alarm=usr.s_alarm_timer.tmr_exp_time / MINIX_HZ or None,
        ipc_from=_extended(int(usr.s_ipc_from)),
        ipc_to=_extended(int(usr.s_ipc_to)),
    )


def _extended(bits: int) -> int:
    """Continue a map's highest bit for ever, as C does with the sign of a short."""
    return bits | -1 << NR_SYS_PROCS if bits >> (NR_SYS_PROCS - 1) else bits


def fill_privileges(usr: priv_usr, present: Privileges) -> None:
    """Write privileges into a priv_usr_t."""
    usr.s_id, usr.s_warn, usr.s_level = present.id, present.warn, present.level
    usr.s_trap_mask = present.traps & 0xFFFF  # ctypes wraps it into a short
    usr.s_call_mask = present.calls
    usr.s_ipc_from.assign(present.ipc_from)
    usr.s_ipc_to.assign(present.ipc_to)
    usr.s_alarm_timer.tmr_exp_time = round(present.alarm * MINIX_HZ) if present.alarm else 0
