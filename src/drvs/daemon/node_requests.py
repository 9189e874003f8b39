"""The part of the control protocol that is about other nodes: requests with their fields. `protocol` has the rest.

Proxy pairs and the nodes that they lead to; what a proxy works with; what the process that joins nodes asks and tells.
"""

from drvs.daemon.request import Request


class ProxiesBind(Request, tag="proxies_bind"):
    """Register two processes (or threads) as the sender and receiver proxy of a pair. None: the caller."""

    name: str
    px: int
    sender: int | None = None
    receiver: int | None = None


class ProxyConn(Request, tag="proxy_conn"):
    """Tell that a proxy is connected or not (base.flags.Connection). `node`: to that node only, of many by one pair."""

    px: int
    status: int
    node: int | None = None


class ProxyUnbind(Request, tag="proxy_unbind"):
    """Forget a proxy pair; what is under way through it ends with NOPROXY."""

    px: int


class GetProxyInfo(Request, tag="getproxyinfo"):
    """Ask for a proxy pair: `sender` and `receiver`, each as a process."""

    px: int


class Proxies(Request, tag="proxies"):
    """Ask for all proxy pairs that are in use."""


class ProxyAttach(Request, tag="proxy_attach"):
    """Hand a registered proxy the next VM that it does not know.

    px None: the pair of the caller's thread `tid`, or of its process; `role` is "sender" or "receiver". `after` is the
    serial of the last VM it was given: serials grow, and are never used again. The answer has that `vm`, or null, and
    whether there are `more`. Beside it come the descriptors that its `fds` names, in that order: with `begin`
    "changed", an eventfd that counts up when a VM has come or gone, and "ledger", shared memory for counts and times;
    then "region" and "bell" of the VM. `pair` is what the first answer had as that: NOPROXY if it was unbound since.
    """

    px: int | None = None
    tid: int = 0
    role: str = "sender"
    pair: int = 0
    after: int = 0
    begin: bool = False


class NodeUp(Request, tag="node_up"):
    """Reach a node through a proxy pair."""

    name: str
    node: int
    px: int


class NodeDown(Request, tag="node_down"):
    """Reach it no longer; what is under way with it ends with NOPROXY."""

    node: int


class NodeName(Request, tag="node_name"):
    """Name this node."""

    name: str


class AddNode(Request, tag="add_node"):
    """Let a VM have processes on a node."""

    vmid: int
    node: int


class DelNode(Request, tag="del_node"):
    """Take a node out of a VM; what is under way there ends with NOVMNODE, and its processes are unbound here."""

    vmid: int
    node: int


class GetNodeInfo(Request, tag="getnodeinfo"):
    """Ask for a node, known or not."""

    node: int


class Nodes(Request, tag="nodes"):
    """Ask for this node and all others that are known."""


class Events(Request, tag="events"):
    """Wait for what happens after event `after` of this noded's `epoch` (empty: any).

    The answer has `epoch`, `last` (the next `after`) and `events`, none if the time was over. `anew` says that they are
    not what came after, but all there is now: noded is another one, or the events are not kept any more. A kind is
    vm_started, vm_ended, vm_nodes (vmid, serial, name, nodes), bound or unbound (vmid, serial, endpoint, incarnation,
    name).
    """

    after: int = 0
    epoch: str = ""
    timeout_ms: int = 0


class Names(Request, tag="names"):
    """Ask for the names of other nodes."""


class NamesSet(Request, tag="names_set"):
    """Tell a name of another node: lookup finds it."""

    node: int
    vmid: int
    name: str
    endpoint: int


class NamesDrop(Request, tag="names_drop"):
    """Tell that an endpoint of another node is nobody's: who waits on it here goes on.

    `incarnation` is that of its last owner there; 0: whoever it was. A system process that was bound anew since, and
    has called already, stays.
    """

    node: int
    vmid: int
    endpoint: int
    incarnation: int = 0


class NamesClear(Request, tag="names_clear"):
    """Tell that another node has lost everything: its names go, and its processes are unbound here."""

    node: int
