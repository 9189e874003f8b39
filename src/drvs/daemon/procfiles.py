"""The part of the guide's /proc/drvs that seldom changes: `proc/info`, and `proc/NAME/info` for each VM and pair.

As in the guide, initialising makes the directory and each VM, and each proxy pair, a directory in it; failing at that
is NOTDIR or BADF.
"""

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any

from drvs.base import limits
from drvs.base.codes import Code
from drvs.daemon.refusal import Refused

if TYPE_CHECKING:
    from drvs.daemon.pairs import Pair

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


def write_vm(runtime_dir: str, info: dict[str, Any], nr_nodes: int) -> None:
    """Write a VM's `info` anew; what stands in the way of that is somebody else's concern."""
    with contextlib.suppress(Refused):
        _write(os.path.join(runtime_dir, FOLDER, info["name"], "info"), vm_info(info, nr_nodes))


def create_pair(runtime_dir: str, pair: "Pair") -> None:
    """Make a proxy pair's directory with its `info`.

    Raises:
        Refused: NOTDIR or BADF.
    """
    folder = os.path.join(runtime_dir, FOLDER, pair.name)
    _make_folder(folder)
    try:
        _write(os.path.join(folder, "info"), pair_info(pair))
    except Refused:
        remove_pair(runtime_dir, pair.name)
        raise


def write_pair(runtime_dir: str, pair: "Pair") -> None:
    """Write a proxy pair's `info` anew; what stands in the way of that is somebody else's concern."""
    with contextlib.suppress(Refused):
        _write(os.path.join(runtime_dir, FOLDER, pair.name, "info"), pair_info(pair))


def remove_pair(runtime_dir: str, name: str) -> None:
    """Remove a proxy pair's directory."""
    shutil.rmtree(os.path.join(runtime_dir, FOLDER, name), ignore_errors=True)


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


def pair_info(pair: "Pair") -> str:
    """Return the listing of a proxy pair's `info`."""
    return (
        "Proxies Flags Sender Receiver --Proxies_Name-\n"
        f"{pair.px:7d} {pair.flags:5X} {pair.sender.tid:6d} {pair.receiver.tid:8d} {pair.name:>15.15s}\n"
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
