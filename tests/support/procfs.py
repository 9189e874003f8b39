"""Reading /proc: who descends from whom, what a process waits in, which descriptors it holds."""

import os
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def text(pid: int, name: str) -> str:
    """Contents of /proc/<pid>/<name>; empty if the process or the permission is not there."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def state_and_parent(pid: int) -> tuple[str, int]:
    """State letter and parent of a process; ("", 0) if there is none."""
    fields = text(pid, "stat").rpartition(")")[2].split()
    return (fields[0], int(fields[1])) if fields else ("", 0)


def command(pid: int) -> str:
    """Command line of a process, arguments separated by blanks."""
    return text(pid, "cmdline").replace("\0", " ").strip() or text(pid, "comm").strip()


def pids() -> Iterator[int]:
    """All host processes."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def descendants(ancestor: int) -> set[int]:
    """Processes below `ancestor`, orphans included where it is a subreaper; zombies are left out."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        state, parent = state_and_parent(pid)
        if state not in ("", "Z", "X"):
            children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    frontier = [ancestor]
    while frontier:
        for pid in children.get(frontier.pop(), []):
            found.add(pid)
            frontier.append(pid)
    return found


def zombies(parent: int) -> list[int]:
    """Dead children of `parent` that nobody has waited for."""
    return [pid for pid in pids() if state_and_parent(pid) == ("Z", parent)]


def descriptors(pid: int | str = "self") -> dict[int, str]:
    """Open descriptors of a process with what they point to."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue  # closed meanwhile: the descriptor of this listing itself, for one
    return found


def stacks(pid: int) -> str:
    """Where a process is: its state, and for each thread the kernel function, system call and kernel stack."""
    lines = [f"process {pid}: {command(pid)}"]
    wanted = ("State", "PPid", "Uid", "Threads", "SigBlk", "SigCgt")
    lines += [f"  {line}" for line in text(pid, "status").splitlines() if line.split(":")[0] in wanted]
    try:
        threads = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        threads = []
    for tid in threads:
        where = {name: text(pid, f"task/{tid}/{name}").strip() for name in ("wchan", "syscall", "stack")}
        lines.append(f"  thread {tid}: in {where['wchan'] or '?'}, system call {where['syscall'] or '?'}")
        lines += [f"    {frame}" for frame in where["stack"].splitlines()]
    return "\n".join(lines)
