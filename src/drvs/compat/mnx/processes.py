"""Looking at processes, their privileges, and acting on them (guide 4.1.10 to 4.1.15, and the authors' stub)."""

from __future__ import annotations

from typing import Any

from drvs.base.ids import HARDWARE as _HARDWARE
from drvs.base.ids import SELF as _SELF
from drvs.compat.mnx import constants as mnx
from drvs.compat.mnx import convert, threads
from drvs.compat.mnx.buffers import structure
from drvs.compat.mnx.errno import failed
from drvs.compat.mnx.results import code_of, result_of, vm_of
from drvs.compat.mnx.structures import priv_usr, proc_usr
from drvs.compat.mnx.threads import this_node

# ---- looking at processes


def mnx_getep(pid: int) -> int:
    """Return the endpoint of a host process in the caller's VM.

    Canonical: mnx_getep (guide 4.1.10)
    """
    return result_of(lambda: this_node().endpoint_of(pid))


def mnx_getprocinfo(vmid: int, p_nr: int, proc_usr_ptr: Any) -> int:
    """Fill in a proc_usr_t with the process in slot `p_nr`.

    Canonical: mnx_getprocinfo (guide 4.1.11)
    """
    target = structure(proc_usr_ptr, proc_usr)
    if target is None:
        return failed(mnx.EMOLINVAL)
    return code_of(lambda: convert.fill_process(target, vm_of(vmid).process(p_nr)))


def mnx_setpriv(vmid: int, proc_ep: int, u_priv: Any) -> int:
    """Set the privileges of an endpoint.

    Canonical: mnx_setpriv (guide 4.1.14)
    """
    wanted = structure(u_priv, priv_usr)
    if wanted is None:
        return failed(mnx.EMOLINVAL)
    return code_of(lambda: vm_of(vmid).set_privileges(proc_ep, convert.privileges(wanted)))


def mnx_getpriv(vmid: int, proc_ep: int, u_priv: Any) -> int:
    """Fill in a priv_usr_t with the privileges of an endpoint.

    Canonical: mnx_getpriv (guide 4.1.15)
    """
    target = structure(u_priv, priv_usr)
    if target is None:
        return failed(mnx.EMOLINVAL)
    return code_of(lambda: convert.fill_privileges(target, vm_of(vmid).privileges(proc_ep)))


# ---- acting on others


def mnx_wakeup(vmid: int, endpoint: int) -> int:
    """End the receive of an endpoint with EMOLWOKENUP; if it is not receiving, its next one.

    Canonical: mnx_wakeup (authors' stub)
    """
    return code_of(lambda: vm_of(vmid).wakeup(endpoint))


def mnx_ntfy_value(src_nr: int, dst_ep: int, value: int) -> int:
    """Notify `dst_ep` of the caller's VM with a value, on behalf of process number `src_nr` (SELF: the caller).

    Canonical: mnx_ntfy_value (authors' stub)
    """
    caller = threads.current_endpoint()
    if caller is None:
        return failed(threads.no_endpoint_code())
    if src_nr in (_SELF, caller.p_nr):
        return code_of(lambda: caller.notify(dst_ep, value))
    return code_of(lambda: caller.vm.notify_from(src_nr, dst_ep, value))


def mnx_src_notify(src_nr: int, dst_ep: int) -> int:
    """Notify `dst_ep` of the caller's VM on behalf of process number `src_nr`.

    Canonical: mnx_src_notify (authors' stub)
    """
    return mnx_ntfy_value(src_nr, dst_ep, 0)


def mnx_hdw_notify(vmid: int, dst_ep: int) -> int:
    """Notify `dst_ep` from HARDWARE; the caller need not be bound.

    Canonical: mnx_hdw_notify (authors' stub)
    """
    return code_of(lambda: vm_of(vmid).notify_from(_HARDWARE, dst_ep))
