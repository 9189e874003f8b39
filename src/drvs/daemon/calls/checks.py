"""Judging arguments that several calls have."""

from typing import TYPE_CHECKING

from drvs.base import limits
from drvs.base.codes import Code
from drvs.daemon.bindings import Binding
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import Vm

if TYPE_CHECKING:
    from drvs.daemon.node import Node

#: Bitmaps are as wide as the limits; C programs get their first 64 bits ("nodes64", "vms64").
WORD = (1 << 64) - 1

#: Names in `proc/` that are not VMs.
RESERVED = frozenset({"info", "nodes", "proxies", "status", ".", ".."})


def check_name(name: str, what: str, bad: Code) -> None:
    """Refuse a name that is too long (NAMETOOLONG), or that no listing could show (`bad`)."""
    if len(name.encode(errors="surrogatepass")) > limits.NAME_BYTES:
        raise Refused(Code.NAMETOOLONG, f"{what} {name[:40]!r} is longer than {limits.NAME_BYTES} bytes")
    if not name.isprintable():
        raise Refused(bad, f"{what} {name!r} has characters that cannot be printed")


def check_vm_name(name: str, node: "Node") -> None:
    """Refuse what cannot be a VM's name: it is a directory's too."""
    check_folder_name(name, "VM", Code.RANGE)
    pair = next((pair for pair in node.pairs.in_use.values() if pair.name == name), None)
    if pair is not None:
        raise Refused(Code.EXIST, f"{pair.text()} has this name")


def check_folder_name(name: str, what: str, bad: Code) -> None:
    """Refuse what cannot be the name of a directory."""
    check_name(name, f"{what} name", bad)
    if not name or "/" in name or name in RESERVED:
        raise Refused(bad, f"{name!r} cannot be the name of a {what}")


def bound_endpoint(vm: Vm, endpoint: int, undecodable: Code, unbound: Code) -> Binding:
    """Return who is bound to an endpoint.

    Raises:
        Refused: `undecodable` if no slot of the VM can have it, `unbound` if nobody is bound to it.
    """
    binding = vm.find(endpoint)
    if binding is not None:
        return binding
    if not is_endpoint(vm, endpoint):
        raise Refused(undecodable, f"no slot of {vm.text()} can have endpoint {endpoint}")
    raise Refused(unbound, f"endpoint {endpoint} is not bound in {vm.text()}")


def is_endpoint(vm: Vm, endpoint: int) -> bool:
    """Say whether some slot of the VM can have this endpoint."""
    return -(1 << 31) <= endpoint < 1 << 31 and vm.region.decode(endpoint) is not None


def check_timeout(timeout_ms: int) -> None:
    """Refuse a timeout below -1."""
    if timeout_ms < -1:
        raise Refused(Code.RANGE, f"timeout_ms is {timeout_ms}: -1 waits for ever, 0 not at all")
