"""Is the node well: its directory, noded, and each VM's lock and invariants."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from drvs.base import limits, paths
from drvs.cli.checks.finding import Finding, fail, ok, warn

if TYPE_CHECKING:
    from drvs.api.node import Node

_MOST_SHOWN = 5


def directory() -> Iterator[Finding]:
    """Can the runtime directory be used?"""
    try:
        folder = paths.find_runtime_dir()
    except ValueError as error:
        yield fail("directory", str(error), "Set DRVS_NODE to a number, or unset it.")
        return
    if not paths.short_enough(os.path.join(folder, paths.KEEPER_SOCKET)):
        yield fail(
            "directory", f"{folder}: the path is too long for a socket", "Set DRVS_RUNTIME_DIR to a shorter one."
        )
    elif os.path.lexists(folder):
        yield _existing(folder)
    else:
        yield _to_be_made(folder)


def _existing(folder: str) -> Finding:
    owner = os.lstat(folder).st_uid
    problem = paths.check_owned(folder, owner if os.path.exists(os.path.join(folder, paths.SOCKET)) else os.geteuid())
    if problem is not None:
        what, _, cure = problem.partition(": ")
        return fail("directory", what, cure[:1].upper() + cure[1:] + "." if cure else "Set DRVS_RUNTIME_DIR.")
    return ok("directory", f"{folder} (of user {owner})")


def _to_be_made(folder: str) -> Finding:
    parent = Path(folder).parent
    while not parent.exists():
        parent = parent.parent
    if os.access(parent, os.W_OK):
        return ok("directory", f"{folder} (not there yet: drvs up makes it)")
    return fail(
        "directory",
        f"{folder} cannot be made: no right to write in {parent}",
        "Set DRVS_RUNTIME_DIR to a directory you can write in.",
    )


def noded() -> Iterator[Finding]:
    """Does noded answer, and is it of this version?"""
    from drvs.api.node import Node
    from drvs.base.errors import DaemonGone, DrvsError

    node = Node()
    try:
        hello = node.client.call("hello", timeout=5.0)
    except DaemonGone as error:
        yield _no_noded(node.runtime_dir, str(error.detail))
        return
    except DrvsError as error:
        yield fail("noded", str(error.detail or error.code.meaning), error.hint)
        return
    yield ok("noded", f"process {hello.get('pid')} answers for node {hello.get('node')}")
    yield from _same_version(node)
    yield from _same_namespace(int(hello.get("pid") or 0))
    yield from state(node)


def _no_noded(folder: str, reason: str) -> Finding:
    socket = os.path.join(folder, paths.SOCKET)
    if os.path.exists(socket) and stat.S_ISSOCK(os.stat(socket).st_mode):
        return warn(
            "noded",
            f"it is gone, but left its files in {folder}",
            "Start it again with `drvs up` (IPC goes on meanwhile), or clean up with `drvs gc`.",
        )
    return warn("noded", reason, "Start one with `drvs up`.")


def _same_version(node: Node) -> Iterator[Finding]:
    ours, theirs = f"{limits.VERSION}.{limits.SUBVERSION}", str(node.client.call("status").get("version"))
    if theirs != ours:
        cure = "Install one version, then restart noded: drvs down --keep; drvs up."
        yield fail("version", f"noded speaks version {theirs}, this command {ours}", cure)


def _same_namespace(pid: int) -> Iterator[Finding]:
    try:
        if os.readlink("/proc/self/ns/pid") != os.readlink(f"/proc/{pid}/ns/pid"):
            yield fail(
                "pid namespace",
                "noded runs in another one: this process cannot be bound (BADPID)",
                "Run both in one container, or a node in each.",
            )
    except OSError:
        return  # another user's process: its binding would tell


def state(node: Node) -> Iterator[Finding]:
    """Is the node initialised, who holds its locks, do the invariants hold?"""
    from drvs.base.errors import DrvsError

    try:
        vms = node.vms()
    except DrvsError as error:
        yield warn("node", error.code.meaning, error.hint)
        return
    yield from holders(node)
    for info in vms:
        yield _audit(node, int(info.vmid), info.name, info.bound)
    if not vms:
        yield ok("VMs", "none yet (make one: drvs vm create NAME)")


def holders(node: Node) -> Iterator[Finding]:
    """Does a stopped or stuck process hold a VM's lock?"""
    from drvs.cli.node import holder_text

    for row in node.client.call("holders")["holders"]:
        yield fail("lock", holder_text(row), f"Let it go on (kill -CONT {row['pid']}), or kill it.")


def _audit(node: Node, vmid: int, name: str, bound: int) -> Finding:
    from drvs.base.errors import DrvsError

    what = f"VM {vmid} '{name}'"
    try:
        findings = node.vm(vmid).audit()
    except DrvsError as error:
        return fail(what, str(error.detail or error.code.meaning), error.hint)
    if not findings:
        return ok(what, f"all invariants hold ({bound} bound)")
    shown = "; ".join(findings[:_MOST_SHOWN]) + ("; …" if len(findings) > _MOST_SHOWN else "")
    return fail(what, f"its memory contradicts itself: {shown}", f"End it (drvs vm end {name}) and make it again.")


ALL = (directory, noded)
