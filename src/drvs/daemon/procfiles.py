"""The part of the guide's /proc/drvs that does not change: `proc/info` and, for each VM, `proc/NAME/info`.

As in the guide, initialising makes the directory and each VM a directory in it; failing at that is NOTDIR or BADF.
"""

import os
import shutil
from typing import Any

from drvs.base import limits
from drvs.base.codes import Code
from drvs.daemon.refusal import Refused

FOLDER = "proc"


def create_node(runtime_dir: str, number: int, size: dict[str, int], debug: int) -> None:
    """Make `proc` with its `info`.

    Raises:
        Refused: NOTDIR or BADF.
    """
    folder = os.path.join(runtime_dir, FOLDER)
    _make_folder(folder)
    _write(os.path.join(folder, "info"), node_info(number, size, debug))


def remove_node(runtime_dir: str) -> None:
    """Remove `proc` and all in it."""
    shutil.rmtree(os.path.join(runtime_dir, FOLDER), ignore_errors=True)


def create_vm(runtime_dir: str, info: dict[str, Any], nr_nodes: int) -> None:
    """Make a VM's directory with its `info`.

    Raises:
        Refused: NOTDIR or BADF.
    """
    folder = os.path.join(runtime_dir, FOLDER, info["name"])
    _make_folder(folder)
    try:
        _write(os.path.join(folder, "info"), vm_info(info, nr_nodes))
    except Refused:
        remove_vm(runtime_dir, info["name"])
        raise


def remove_vm(runtime_dir: str, name: str) -> None:
    """Remove a VM's directory."""
    shutil.rmtree(os.path.join(runtime_dir, FOLDER, name), ignore_errors=True)


def node_info(number: int, size: dict[str, int], debug: int) -> str:
    """Return the listing of `info`, as in section 7 of the guide."""
    return (
        f"nodeid={number}\nnr_vms={size['nr_vms']}\nnr_nodes={size['nr_nodes']}\nmax_nr_procs={size['nr_procs']}\n"
        f"max_nr_tasks={size['nr_tasks']}\nmax_sys_procs={size['nr_sysprocs']}\nmax_copy_buf={size['copy_buf']}\n"
        f"max_copy_len={size['copy_len_max']}\ndbglvl={debug:X}\nversion={limits.VERSION}.{limits.SUBVERSION}\n"
    )


def vm_info(info: dict[str, Any], nr_nodes: int) -> str:
    """Return the listing of a VM's `info`, as in section 7 of the guide."""
    width = min(nr_nodes, 32)
    columns = range(width - 1, -1, -1)
    tens, ones = ("".join(str(n // 10) for n in columns), "".join(str(n % 10) for n in columns))
    marks = "".join("X" if info["nodes"] >> n & 1 else "-" for n in columns)
    return (
        f"vmid={info['vmid']}\nflags={info['flags']:X}\nnr_procs={info['nr_procs']}\nnr_tasks={info['nr_tasks']}\n"
        f"nr_sysprocs={info['nr_sysprocs']}\nnr_nodes={nr_nodes}\nvm_nodes={info['nodes']:X}\nvm_name={info['name']}\n"
        f"nodes {tens}\n      {ones}\n      {marks}\n"
    )


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        if not os.path.isdir(path) or os.path.islink(path):
            raise Refused(Code.NOTDIR, f"{path} is in the way: remove it") from None
    except OSError as error:
        raise Refused(Code.NOTDIR, f"{path} cannot be created: {error.strerror}") from None


def _write(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with open(fd, "w") as file:
            file.write(text)
    except OSError as error:
        raise Refused(Code.BADF, f"{path} cannot be written: {error.strerror}") from None
