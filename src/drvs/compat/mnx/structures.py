"""The guide's structures as ctypes (LP64, native alignment), field for field.

A message is 64 bytes: 8 of header and a union of 56 bytes, so that every view has the same size. Fields have the names
of the guide's accessors: ``m.m1_i1``, ``m.m9_t1.tv_nsec``. Bitmaps are as wide as the guide's own limits need (64
nodes, 96 system processes); what a node with larger limits knows beyond that is kept, not shown.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    Structure,
    Union,
    c_char,
    c_int,
    c_long,
    c_short,
    c_ubyte,
    c_uint,
    c_ulong,
    c_ushort,
    c_void_p,
)

from drvs.compat.mnx.constants import (
    BITS_PER_CHUNK,
    CPU_SETSIZE,
    M3_STRING,
    MAXCOPYBUF,
    MAXNODENAME,
    MAXPROCNAME,
    MAXVMNAME,
    MESSAGE_BYTES,
    NR_SYS_CHUNKS,
    PAYLOAD_BYTES,
    SLOTS_BY_MSG,
)


class timespec(Structure):
    """Seconds and nanoseconds."""

    _fields_ = (("tv_sec", c_long), ("tv_nsec", c_long))


class mess_1(Structure):
    """Three integers and three pointers."""

    _fields_ = (
        ("m1_i1", c_int), ("m1_i2", c_int), ("m1_i3", c_int),
        ("m1_p1", c_void_p), ("m1_p2", c_void_p), ("m1_p3", c_void_p),
    )  # fmt: skip


class mess_2(Structure):
    """Three integers, two longs and a pointer."""

    _fields_ = (
        ("m2_i1", c_int), ("m2_i2", c_int), ("m2_i3", c_int), ("m2_l1", c_long), ("m2_l2", c_long), ("m2_p1", c_void_p),
    )  # fmt: skip


class mess_3(Structure):
    """Two integers, a pointer and a short string."""

    _fields_ = (("m3_i1", c_int), ("m3_i2", c_int), ("m3_p1", c_void_p), ("m3_ca1", c_char * M3_STRING))


class mess_4(Structure):
    """Five longs."""

    _fields_ = (("m4_l1", c_long), ("m4_l2", c_long), ("m4_l3", c_long), ("m4_l4", c_long), ("m4_l5", c_long))


class mess_5(Structure):
    """Two shorts, two integers and three longs."""

    _fields_ = (
        ("m5_c1", c_short), ("m5_c2", c_short), ("m5_i1", c_int), ("m5_i2", c_int),
        ("m5_l1", c_long), ("m5_l2", c_long), ("m5_l3", c_long),
    )  # fmt: skip


class mess_6(Structure):
    """Characters, as many as mess_3 has bytes."""

    _fields_ = (("m6_ca1", c_char * ctypes.sizeof(mess_3)),)


class mess_7(Structure):
    """Four integers and two pointers."""

    _fields_ = (
        ("m7_i1", c_int), ("m7_i2", c_int), ("m7_i3", c_int), ("m7_i4", c_int),
        ("m7_p1", c_void_p), ("m7_p2", c_void_p),
    )  # fmt: skip


class mess_8(Structure):
    """Two integers and four pointers."""

    _fields_ = (
        ("m8_i1", c_int), ("m8_i2", c_int),
        ("m8_p1", c_void_p), ("m8_p2", c_void_p), ("m8_p3", c_void_p), ("m8_p4", c_void_p),
    )  # fmt: skip


class mess_9(Structure):
    """A notification: flags, argument, time of sending."""

    _fields_ = (("m9_i1", c_int), ("m9_l1", c_int), ("m9_t1", timespec))


class mess_A(Structure):
    """A destination, a count and slot numbers."""

    _fields_ = (("mA_dst", c_int), ("mA_nr", c_int), ("mA_ia", c_int * SLOTS_BY_MSG))


class message_union(Union):
    """The payload under each of its views."""

    _anonymous_ = ("m_m1", "m_m2", "m_m3", "m_m4", "m_m5", "m_m6", "m_m7", "m_m8", "m_m9", "m_mA")
    _fields_ = (
        ("m_m1", mess_1), ("m_m2", mess_2), ("m_m3", mess_3), ("m_m4", mess_4), ("m_m5", mess_5),
        ("m_m6", mess_6), ("m_m7", mess_7), ("m_m8", mess_8), ("m_m9", mess_9), ("m_mA", mess_A),
        ("m_bytes", c_ubyte * PAYLOAD_BYTES),
    )  # fmt: skip


class message(Structure):
    """What is sent and received: who sent it, what it is, and a payload (guide 3.1.1)."""

    _anonymous_ = ("m_u",)
    _fields_ = (("m_source", c_int), ("m_type", c_int), ("m_u", message_union))


class drvs_usr(Structure):
    """Limits and status of a node (guide 4.1.1); 0 in the two copy limits asks for the default."""

    _fields_ = (
        ("d_nr_vms", c_int),
        ("d_nr_nodes", c_int),
        ("d_nr_procs", c_int),
        ("d_nr_tasks", c_int),
        ("d_nr_sysprocs", c_int),
        ("d_max_copybuf", c_int),
        ("d_max_copylen", c_int),
        ("d_dbglvl", c_ulong),
        ("d_version", c_int),
        ("d_subver", c_int),
    )


class cpumask_t(Structure):
    """A set of CPUs."""

    _fields_ = (("bits", c_ulong * (CPU_SETSIZE // 64)),)


class VM_usr(Structure):
    """Limits and status of a VM (guide 4.1.4)."""

    _fields_ = (
        ("vm_vmid", c_int),
        ("vm_flags", c_int),
        ("vm_nr_procs", c_int),
        ("vm_nr_tasks", c_int),
        ("vm_nr_sysprocs", c_int),
        ("vm_nr_nodes", c_int),
        ("vm_nodes", c_ulong),
        ("vm_name", c_char * MAXVMNAME),
        ("vm_cpumask", cpumask_t),
    )


class proc_usr(Structure):
    """A process descriptor (guide 5.1.4)."""

    _fields_ = (
        ("p_nr", c_int),
        ("p_endpoint", c_int),
        ("p_vmid", c_int),
        ("p_rts_flags", c_ulong),
        ("p_lpid", c_int),
        ("p_nodeid", c_int),
        ("p_nodemap", c_ulong),
        ("p_misc_flags", c_ulong),
        ("p_getfrom", c_int),
        ("p_sendto", c_int),
        ("p_waitmigr", c_int),
        ("p_proxy", c_int),
        ("p_lclsent", c_ulong),
        ("p_rmtsent", c_ulong),
        ("p_name", c_char * MAXPROCNAME),
        ("p_cpumask", cpumask_t),
    )


class sys_map_t(Structure):
    """One bit for each system process."""

    _fields_ = (("chunk", c_ushort * NR_SYS_CHUNKS),)

    def __int__(self) -> int:
        return int.from_bytes(bytes(self), "little")

    def assign(self, bits: int) -> None:
        """Take the lowest NR_SYS_PROCS bits of `bits`."""
        for index in range(NR_SYS_CHUNKS):
            self.chunk[index] = bits >> (index * BITS_PER_CHUNK) & 0xFFFF


class tmr_arg_t(Union):
    """What a timer hands to its function."""

    _fields_ = (("ta_int", c_int), ("ta_long", c_long), ("ta_ptr", c_void_p))


class moltimer_t(Structure):
    """A timer. Only the expiry is used: ticks of 1/60 s since boot (CLOCK_MONOTONIC), 0 for none."""

    _fields_ = (("tmr_next", c_void_p), ("tmr_exp_time", c_ulong), ("tmr_func", c_void_p), ("tmr_arg", tmr_arg_t))


class priv_usr(Structure):
    """The privileges of a process (guide 4.1.14)."""

    _fields_ = (
        ("s_id", c_short),
        ("s_warn", c_int),
        ("s_level", c_int),
        ("s_trap_mask", c_short),
        ("s_ipc_from", sys_map_t),
        ("s_ipc_to", sys_map_t),
        ("s_call_mask", c_long),
        ("s_alarm_timer", moltimer_t),
    )


class node_usr(Structure):
    """A node (guide 5.1.6)."""

    _fields_ = (
        ("n_nodeid", c_int),
        ("n_flags", c_ulong),
        ("n_proxies", c_int),
        ("n_vms", c_ulong),
        ("n_stimestamp", timespec),
        ("n_rtimestamp", timespec),
        ("n_name", c_char * MAXNODENAME),
    )


class vcopy_t(Structure):
    """The copy that a proxy command belongs to."""

    _fields_ = (
        ("v_src", c_int), ("v_dst", c_int), ("v_rqtr", c_int),
        ("v_saddr", c_void_p), ("v_daddr", c_void_p), ("v_bytes", c_int),
    )  # fmt: skip


class cmd_t(Structure):
    """The header of a proxy command (guide 5.1.10); behind the guide's fields those of later versions, and drvs's own.

    A proxy passes on what it does not know. In a header that a program writes itself, zeros there are right.
    """

    _fields_ = (
        ("c_cmd", c_int), ("c_vmid", c_int), ("c_src", c_int), ("c_dst", c_int),
        ("c_snode", c_int), ("c_dnode", c_int), ("c_rcode", c_int), ("c_len", c_int),
        ("c_timestamp", timespec), ("c_vcopy", vcopy_t),
        ("c_flags", c_uint), ("c_snd_seq", c_uint), ("c_ack_seq", c_uint),
        ("c_call", c_uint), ("c_answers", c_uint), ("c_incarnation", c_uint), ("c_rnode", c_uint),
        ("c_trace", c_ubyte * 16),
    )  # fmt: skip


class proxy_payload_t(Union):
    """What follows a proxy command."""

    _fields_ = (("pay_msg", message), ("pay_data", c_char * MAXCOPYBUF))


drvs_usr_t = drvs_usr
VM_usr_t = VM_usr
proc_usr_t = proc_usr
priv_usr_t = priv_usr
priv_t = priv_usr
node_usr_t = node_usr

assert ctypes.sizeof(message) == MESSAGE_BYTES
