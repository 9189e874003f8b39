"""The M3-IPC 1.6 Programmer's Guide in Python: its functions, structures and numbers under their own names.

    from drvs.compat.mnx import *

    ep = mnx_bind(0, 10)
    m = message()
    while mnx_receive(ANY, m) == OK:
        m.m_type += 1
        mnx_send(m.m_source, m)

Arguments are ints, ctypes structures (`m` and `byref(m)` alike) and, for mnx_vcopy, raw addresses; results are ints,
negative for errors; `mnx_errno()` has the code of the thread's last call. New programs are better served by `drvs`
itself.
"""

from drvs.compat.mnx import binding as _binding
from drvs.compat.mnx import constants as _constants
from drvs.compat.mnx import ipc as _ipc
from drvs.compat.mnx import later_chapters as _later
from drvs.compat.mnx import node_and_vm as _node_and_vm
from drvs.compat.mnx import nodes as _nodes
from drvs.compat.mnx import processes as _processes
from drvs.compat.mnx import proxying as _proxying
from drvs.compat.mnx import structures as _structures
from drvs.compat.mnx.binding import *  # noqa: F403
from drvs.compat.mnx.constants import *  # noqa: F403
from drvs.compat.mnx.errno import mnx_errno
from drvs.compat.mnx.ipc import *  # noqa: F403
from drvs.compat.mnx.ipc import addressof
from drvs.compat.mnx.later_chapters import *  # noqa: F403
from drvs.compat.mnx.node_and_vm import *  # noqa: F403
from drvs.compat.mnx.nodes import *  # noqa: F403
from drvs.compat.mnx.processes import *  # noqa: F403
from drvs.compat.mnx.proxying import *  # noqa: F403
from drvs.compat.mnx.structures import *  # noqa: F403

_CALLS = (_ipc, _node_and_vm, _binding, _processes, _nodes, _proxying, _later)
__all__ = [  # noqa: PLE0604
    "addressof",
    "mnx_errno",
    *(name for name in vars(_constants) if name.isupper() and not name.startswith("_")),
    *(name for module in _CALLS for name in vars(module) if name.startswith("mnx_")),
    *(name for name, value in vars(_structures).items() if getattr(value, "__module__", "") == _structures.__name__),
]
