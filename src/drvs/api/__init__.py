"""The Python API: what programs use, and the only thing that the layers above may touch.

    connect()  -> Node  -> VM  -> Endpoint, Block
    node       limits, VMs            vm         binding, names, privileges, processes
    endpoint   calls and copies       block      memory offered for copies

`drvs` re-exports all of it, lazily.
"""

from drvs.api.block import Block
from drvs.api.command import Command
from drvs.api.endpoint import Endpoint
from drvs.api.entry import connect, wait_for_bind
from drvs.api.info import NodeInfo, PairInfo, PeerInfo, ProcessInfo, VmInfo
from drvs.api.node import Node
from drvs.api.privileges import Privileges
from drvs.api.proxies import ProxyPair
from drvs.api.vm import VM

__all__ = [
    "VM",
    "Block",
    "Command",
    "Endpoint",
    "Node",
    "NodeInfo",
    "PairInfo",
    "PeerInfo",
    "Privileges",
    "ProcessInfo",
    "ProxyPair",
    "VmInfo",
    "connect",
    "wait_for_bind",
]
