"""On what machine, with which code: what a figure must carry to mean anything."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import drvs

_PEERS = ("pyzmq", "iceoryx2", "grpcio", "numpy", "loky", "ray", "distributed", "rpyc", "nats-py")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    """The commit this code was checked out at, `-dirty` if changed since; empty for an installed package."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe() -> dict[str, Any]:
    """Return machine, kernel, versions, commit and time as a JSON object."""
    return {
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "drvs": drvs.__version__,
        "commit": _commit(),
        "load": round(os.getloadavg()[0], 2),
        "peers": {name: found for name in _PEERS if (found := _installed(name))},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
