"""What noded does for each request, one module for each group of calls.

Every handler is registered with who may call it, whether the node must be initialised, and which bit of the caller's
s_call_mask stands for it. Codes are the guide's, in the guide's order: permission, initialisation, arguments, state.
"""

from drvs.daemon.calls import (
    binding,
    cluster,
    dumps,
    info,
    messages,
    node,
    nodes,
    privileges,
    proxies,
    unbinding,
    vms,
    waiting,
)
from drvs.daemon.calls.registry import HANDLERS, Answer, Handler, Rights

__all__ = ["HANDLERS", "Answer", "Handler", "Rights"]

_ALL = (binding, cluster, dumps, info, messages, node, nodes, privileges, proxies, unbinding, vms, waiting)
