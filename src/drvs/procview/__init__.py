"""What a node's tables say, as Python objects: its VMs, their processes, and who waits on whom.

tables   every VM of a node with its processes, at one moment
waits    who waits on whom in a VM, why, and in which circles
"""

from drvs.procview.tables import VmView, look
from drvs.procview.waits import Wait, WaitView, analyse, describe_cycle

__all__ = ["VmView", "Wait", "WaitView", "analyse", "describe_cycle", "look"]
