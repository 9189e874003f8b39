"""The view as a directory of this machine, through FUSE.

needs        what is missing on this host, and what to install
filesystem   the tree as a read-only file system
watch        knows when the node has ended
serve        one mount: serves the file system until somebody unmounts it, or the node ends
mounts       mount and umount, for `drvs mount` and `drvs umount`

mfusepy is imported only in the process that serves.
"""

from drvs.procview.fuse.mounts import mount, mounted, umount

__all__ = ["mount", "mounted", "umount"]
