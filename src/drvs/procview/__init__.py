"""What a node's tables say, as Python objects: its VMs, their processes, and who waits on whom.

tree     the guide's /proc/drvs: directories and files, each with its text and the objects it was made from
tables   every VM of a node with its processes, at one moment
waits    who waits on whom in a VM, why, and in which circles

`drvs cat` prints the files of the tree, and `drvs mount` shows it as a directory of this machine (`fuse/`).
"""

from drvs.procview.sources import Listing
from drvs.procview.tables import VmView, look
from drvs.procview.tree import Directory, File, tree
from drvs.procview.waits import Wait, WaitView, analyse, describe_cycle

__all__ = [
    "Directory",
    "File",
    "Listing",
    "VmView",
    "Wait",
    "WaitView",
    "analyse",
    "describe_cycle",
    "look",
    "tree",
]
