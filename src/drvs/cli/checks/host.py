"""Is this host ready: Linux, Python, what the kernel offers, memory copies between processes, limits."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from drvs.base import features, limits
from drvs.cli.checks.finding import Finding, fail, ok, warn

_OLDEST_KERNEL = (5, 10)
_TESTED_MACHINES = ("x86_64",)
_COMPILING_MACHINES = ("aarch64",)
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_FEW_DESCRIPTORS = 4096


def linux() -> Iterator[Finding]:
    """Is Linux new enough, and this machine one we know?"""
    release, machine = platform.release(), platform.machine()
    first = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if first >= _OLDEST_KERNEL:
        yield ok("kernel", f"Linux {release}")
    else:
        yield fail("kernel", f"Linux {release} is older than 5.10", "Run it on Linux 5.10 or newer.")
    if machine in _TESTED_MACHINES:
        yield ok("machine", f"{machine}, {len(os.sched_getaffinity(0))} CPUs")
    elif machine in _COMPILING_MACHINES:
        yield warn("machine", f"{machine} compiles but is not tested", "Run `make test` before you rely on it.")
    else:
        yield fail("machine", f"{machine} is not supported", "Use x86-64 or aarch64.")
    if len(os.sched_getaffinity(0)) == 1:
        yield warn(
            "cores", "one CPU: calls cost a switch each (about 4 us instead of 0.3)", "Give it a second CPU for speed."
        )


def python() -> Iterator[Finding]:
    """Does this Python do, and does the extension load?"""
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield ok("python", platform.python_version())
    else:
        yield warn("python", f"{platform.python_version()} is not tested", "Use CPython 3.11, 3.12 or 3.13.")
    try:
        from drvs.core import _core
    except ImportError as error:
        yield fail("core", f"the extension does not load: {error}", "Build it: make build, or pip install .")
        return
    yield ok("core", f"version {_core.VERSION}, region layout {_core.LAYOUT_VERSION}")


def kernel_features() -> Iterator[Finding]:
    """What newer kernels offer, and what happens without it."""
    found = [name for name in features.FEATURES if features.has(name)]
    yield ok("features", ", ".join(found))
    for name, meaning in features.FEATURES.items():
        if name in found or name == "fdstore":
            continue
        if name in features.disabled():
            yield warn(name, f"turned off by DRVS_DISABLE ({meaning})", "Unset DRVS_DISABLE, unless this is a test.")
        else:
            yield warn(name, f"not here ({meaning})", "Nothing to do: the fallback is used. A newer kernel has it.")
    for word in features.unknown_names():
        yield fail("DRVS_DISABLE", f"{word!r} is no feature", f"Use names out of: {', '.join(features.FEATURES)}.")
    for word in limits.unknown_names():
        yield fail("DRVS_LIMITS", f"{word!r} is no limit", "Use the names that `drvs status --limits` shows.")


def copies() -> Iterator[Finding]:
    """May a process copy from another one's memory?"""
    from drvs.core import _core

    block = bytearray(64)
    try:
        _core.raw_copy(os.getpid(), _address(block), bytearray(64), 1)
        yield ok("copies", "process_vm_readv works")
    except OSError as error:
        yield fail(
            "copies",
            f"process_vm_readv is refused: {error.strerror}",
            "Allow process_vm_readv/writev in the seccomp profile of this container.",
        )
    yield yama()


def _address(block: bytearray) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(block))


def yama() -> Finding:
    """What Yama's restriction of ptrace means for copies."""
    try:
        scope = int(_YAMA.read_text())
    except (OSError, ValueError):
        return ok("yama", "not in this kernel: processes of one user may copy from each other")
    if scope == 0:
        return ok("yama", "ptrace_scope 0: processes of one user may copy from each other")
    if scope == 1:
        return ok("yama", "ptrace_scope 1: noded copies where processes may not (a little slower)")
    allow = "Set kernel.yama.ptrace_scope to 1 or 0 (sysctl), or run noded as root."
    if scope == 2:
        return (ok if os.geteuid() == 0 else warn)(
            "yama", "ptrace_scope 2: only root's noded can copy", *([] if os.geteuid() == 0 else [allow])
        )
    return fail(
        "yama", f"ptrace_scope {scope}: nobody may copy; vcopy gives EPERM", allow + " It needs a reboot to leave 3."
    )


def resources() -> Iterator[Finding]:
    """Descriptors, pids and memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,}"
    if hard != resource.RLIM_INFINITY and hard < _FEW_DESCRIPTORS:
        yield warn(
            "descriptors",
            f"at most {most}: noded watches one for each endpoint, and looks at /proc for the rest",
            "Raise the hard limit of open files (ulimit -Hn, or LimitNOFILE= of the unit).",
        )
    else:
        yield ok("descriptors", f"{soft:,}, at most {most}")
    free = _available_bytes()
    if free < 256 << 20:
        yield warn("memory", f"{free >> 20} MiB are available", "Free some: a VM takes about 0.8 KiB for each slot.")
    else:
        yield ok("memory", f"{free / (1 << 30):.1f} GiB are available")


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def images() -> Iterator[Finding]:
    """Can running programs be put aside and brought back here?"""
    from drvs.procspace.image.probe import problem

    found = problem()
    if found is None:
        yield ok("images", "programs can be dumped and restored (drvs image)")
    else:
        yield warn("images", f"drvs image does not work here: {found[0]}", found[1])


def view() -> Iterator[Finding]:
    """Can the view be mounted here?"""
    from drvs.procview.fuse.needs import missing

    lacks = list(missing())
    for what, step in lacks:
        yield warn("view", f"drvs mount does not work here: {what}", step)
    if not lacks:
        yield ok("view", "it can be mounted (drvs mount)")


ALL = (linux, python, kernel_features, copies, images, view, resources)
