"""Small typed integers for the guide's identifiers, and the special ones.

They behave as `int` everywhere; the types are for readers, for type checkers and for `repr`.
"""


class _Id(int):
    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"

    def __str__(self) -> str:
        return int.__repr__(self)


class EndpointId(_Id):
    """The address of a process inside a VM; negative for a task, at most 2**31 - 1."""

    def __repr__(self) -> str:
        return f"EndpointId({endpoint_name(self)})"


class VmId(_Id):
    """The number of a VM on its node: 0 <= id < nr_vms."""


class NodeId(_Id):
    """The number of a node in its cluster: 0 <= id < nr_nodes."""


class ProcessNumber(_Id):
    """A slot of a VM as the guide counts it (p_nr): -nr_tasks <= p_nr < nr_procs."""


#: Whoever sends: a source for receive only.
ANY = EndpointId.__new__(EndpointId, 0x7ACE)
#: Nobody.
NONE = EndpointId.__new__(EndpointId, 0x6ACE)
#: The caller itself.
SELF = EndpointId.__new__(EndpointId, 0x8ACE)

#: Process numbers that stand for the machine and the kernel: they notify, nobody binds them.
HARDWARE = ProcessNumber(-1)
SYSTEM = ProcessNumber(-2)

#: "No Linux process", "this node" and "no proxies" of the guide's structures.
NO_PID = -1
LOCAL_NODE = -1
NO_PROXIES = -1

_NAMES = {0x7ACE: "ANY", 0x6ACE: "NONE", 0x8ACE: "SELF"}


def endpoint_name(endpoint: int) -> str:
    """Return how people write an endpoint: ``ANY``, ``NONE``, ``SELF`` or the number."""
    return _NAMES.get(endpoint) or str(int(endpoint))
