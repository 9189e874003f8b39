"""Which processes run on a node, seen from outside."""

from __future__ import annotations

import os
from typing import NamedTuple

from drvs.lab import sweep
from drvs.lab.spec import Spec


class Process(NamedTuple):
    """A process of a node: its pid out here and in the node, and what it runs."""

    pid: int
    inner_pid: int
    command: str


def of_node(spec: Spec, node: int, first: int) -> list[Process]:
    """Return the processes of a node whose first process is `first` (0: there is none)."""
    if not first:
        return []
    pids = _in_namespace(first) if spec.namespaces else sweep.marked(spec.home(node))
    return [found for pid in sorted(pids) if (found := _look_at(pid))]


def _in_namespace(first: int) -> list[int]:
    wanted = _namespace(str(first))
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and wanted and _namespace(name) == wanted]


def _namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _look_at(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read().split("\0")
    except OSError:
        return None
    inner = int(status.get("NSpid", str(pid)).split()[-1])
    return Process(pid, inner, " ".join(words).strip() or f"[{status.get('Name', '')}]")
