"""What this kernel offers beyond the oldest one supported (5.10), each with a fallback.

`DRVS_DISABLE=pidfd_thread,peerpidfd` forces the fallbacks by name, which is how the tests run them.
"""

import fcntl
import os
from collections.abc import Callable

SO_PEERPIDFD = 77
PIDFD_THREAD = os.O_EXCL

#: Each feature, since which kernel, and what happens without it.
FEATURES = {
    "pidfd": "5.3: watch processes by descriptor; without: look at /proc once a second",
    "pidfd_thread": "6.9: watch single threads by descriptor; without: look at /proc once a second",
    "peerpidfd": "6.5: who is at the other end, safe against pid reuse; without: pid and start time",
    "seals": "3.17: nobody can truncate a region",
    "process_vm": "3.2: copy between address spaces",
    "rseq": "4.18: the CPU number in a nanosecond; without: getcpu",
    "membarrier": "4.3",
    "images": "x86-64: put processes aside and copy them; without: executors fork their workers",
    "fdstore": "under systemd: the descriptors survive a restart there; without: in the keeper",
}


def disabled() -> frozenset[str]:
    """Return the features that DRVS_DISABLE turns off."""
    return frozenset(filter(None, (word.strip() for word in os.environ.get("DRVS_DISABLE", "").split(","))))


def has(name: str) -> bool:
    """Say whether a feature is there and not disabled.

    Raises:
        KeyError: there is no feature of that name; FEATURES lists them.
    """
    if name not in FEATURES:
        raise KeyError(name)
    if name in disabled() or (name == "pidfd_thread" and "pidfd" in disabled()):
        return False
    if name not in _found:
        _found[name] = _PROBES[name]()
    return _found[name]


def unknown_names() -> list[str]:
    """Return words in DRVS_DISABLE that name no feature (a typing error would otherwise pass unseen)."""
    return sorted(disabled() - set(FEATURES))


_found: dict[str, bool] = {}


def _probe_pidfd(flags: int = 0, pid: int = 0) -> bool:
    try:
        os.close(os.pidfd_open(pid or os.getpid(), flags))
    except (OSError, AttributeError):
        return False
    return True


def _probe_pidfd_thread() -> bool:
    return _probe_pidfd(PIDFD_THREAD)


def _probe_peerpidfd() -> bool:
    import socket  # not cheap, and only noded asks

    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        try:
            os.close(left.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD))
        except OSError:
            return False
    return True


def _probe_seals() -> bool:
    try:
        fd = os.memfd_create("drvs-probe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _kernel_at_least(major: int, minor: int) -> bool:
    first = os.uname().release.split("-")[0].split(".")
    return (int(first[0]), int(first[1])) >= (major, minor)


_PROBES: dict[str, Callable[[], bool]] = {
    "pidfd": _probe_pidfd,
    "pidfd_thread": _probe_pidfd_thread,
    "peerpidfd": _probe_peerpidfd,
    "seals": _probe_seals,
    "process_vm": lambda: _kernel_at_least(3, 2),
    "rseq": lambda: _kernel_at_least(4, 18),
    "membarrier": lambda: _kernel_at_least(4, 3),
    "images": lambda: os.uname().machine == "x86_64",
    "fdstore": lambda: "NOTIFY_SOCKET" in os.environ and os.environ.get("DRVS_STORE") == "systemd",
}
