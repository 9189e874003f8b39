"""drvs ps: who is bound, in which state, and who waits on whom."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drvs.cli.options import AnyVm, Json

if TYPE_CHECKING:
    from drvs.api.info import ProcessInfo
    from drvs.api.vm import VM
    from drvs.procview.waits import Wait, WaitView


@cache
def command_of(pid: int) -> str:
    """Return the command a host process runs, as ps shows it in brackets; empty if it is gone or on another node."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def state_of(process: ProcessInfo) -> str:
    """Return what a process is doing, in a word."""
    from drvs.base.flags import Misc, Rts

    if process.rts & Rts.REMOTE:
        return "backup" if process.misc & Misc.BACKUP else "remote"
    for flag, word in ((Rts.MIGRATING, "migrating"), (Rts.ONCOPY, "in copy"), (Rts.SENDING, "sending")):
        if process.rts & flag:
            return "calling" if flag == Rts.SENDING and process.rts & Rts.RECEIVING else word
    if process.rts & Rts.RECEIVING:
        return "calling" if process.calling else "receiving"
    return "running"


def as_json(vm: str, process: ProcessInfo) -> dict[str, Any]:
    """Return a process as `--json` shows it."""
    from drvs.base.ids import NONE

    return {
        "vm": vm,
        "slot": int(process.p_nr),
        "endpoint": int(process.endpoint),
        "name": process.name,
        "node": int(process.node),
        "pid": process.pid,
        "tid": process.tid,
        "state": state_of(process),
        "flags": int(process.rts),
        "receives_from": None if process.getfrom == NONE else int(process.getfrom),
        "sends_to": None if process.sendto == NONE else int(process.sendto),
        "sent": process.sent_local + process.sent_remote,
        "copied": process.copied_local + process.copied_remote,
        "command": command_of(process.pid),
    }


def _peer(process: ProcessInfo, names: dict[int, str]) -> str:
    """With whom a blocked process is busy, by name where it has one."""
    from drvs.base.flags import Rts
    from drvs.base.ids import ANY

    if process.rts & Rts.SENDING:
        endpoint = int(process.sendto)
    elif process.rts & Rts.RECEIVING:
        endpoint = int(process.getfrom)
    else:
        return ""
    return "any" if endpoint == ANY else names.get(endpoint) or str(endpoint)


def _host(process: ProcessInfo) -> str:
    return str(process.pid) if process.tid in (0, process.pid) else f"{process.pid}/{process.tid}"


def show_table(rows: Sequence[tuple[str, ProcessInfo]], with_vm: bool = True) -> None:
    """Print processes, each with the name of its VM."""
    from drvs.ui.table import Column, number, plain, show

    names = {vm: {int(p.endpoint): p.name for owner, p in rows if owner == vm} for vm, _ in rows}
    columns = [
        number("slot"),
        number("endpoint"),
        Column("name", style="name"),
        number("pid"),
        Column("state"),
        Column("with"),
        number("sent"),
        number("copied"),
        Column("command", style="quiet"),
    ]
    cells = [
        [
            p.p_nr,
            p.endpoint,
            plain(p.name),
            _host(p),
            state_of(p),
            plain(_peer(p, names[vm])),
            f"{p.sent_local + p.sent_remote:,}",
            f"{p.copied_local + p.copied_remote:,}",
            plain(command_of(p.pid)),
        ]
        for vm, p in rows
    ]
    if with_vm:
        columns.insert(0, Column("vm"))
        for (vm, _), row in zip(rows, cells, strict=True):
            row.insert(0, plain(vm))
    show(columns, cells)


def ps(
    vm: AnyVm = None,
    waits: Annotated[
        bool, typer.Option("--waits", "-w", help="Show who waits on whom, why, and in which circles.")
    ] = False,
    json: Json = False,
) -> None:
    """List the bound processes, what they do and with whom.

    A circle of waits that `--waits` shows will never move again by itself; the exit status is 1 then.
    """
    from drvs.cli.reach import vms

    found = vms(vm)
    if waits:
        raise typer.Exit(_show_waits(found, json))
    _list(found, json)


def _list(vms: list[VM], json: bool) -> None:
    from drvs.ui.table import show_json

    rows = [(vm.name, process) for vm in vms for process in vm.processes()]
    if json:
        show_json([as_json(name, process) for name, process in rows])
    elif rows:
        show_table(rows)
    else:
        typer.echo("Nobody is bound. Run something: drvs run --vm VM -- CMD")


def _waits_json(vm: VM, view: WaitView) -> dict[str, Any]:
    return {
        "vm": vm.name,
        "waits": [
            {"endpoint": int(w.waiter.endpoint), "on": int(w.holder.endpoint) if w.holder else None, "why": str(w)}
            for w in view.edges
        ],
        "cycles": [[int(wait.waiter.endpoint) for wait in cycle] for cycle in view.cycles],
    }


def _show_waits(vms: list[VM], json: bool) -> int:
    """Print the waits of each VM; 1 if somebody waits on himself through others."""
    from drvs.procview.waits import analyse
    from drvs.ui.table import show_json

    views = [(vm, analyse(vm.processes())) for vm in vms]
    if json:
        show_json([_waits_json(vm, view) for vm, view in views])
    else:
        for vm, view in views:
            _print_waits(vm, view)
    return 1 if any(view.deadlocked for _, view in views) else 0


def _print_waits(vm: VM, view: WaitView) -> None:
    from drvs.procview.waits import describe_cycle, title
    from drvs.ui.console import out
    from drvs.ui.table import Column, plain, show

    if not view.edges:
        out().print(f"VM {vm.id} '{plain(vm.name)}': nobody waits.")
        return
    caught = {wait.waiter.endpoint for cycle in view.cycles for wait in cycle}
    rows = [
        [plain(title(wait.waiter)), wait.waiter.pid, _why(wait, wait.waiter.endpoint in caught)] for wait in view.edges
    ]
    show(
        [Column("who", style="name"), Column("pid", right=True), Column("why it stands still", fold=True)],
        rows,
        f"VM {vm.id} '{plain(vm.name)}'",
    )
    for cycle in view.cycles:
        out().print(f"[fail]circle:[/] {plain(describe_cycle(cycle))}")
        out().print("  [name]next:[/] end one of them, or let one side use a timeout")


def _why(wait: Wait, caught: bool) -> str:
    from drvs.ui.table import plain

    return f"[fail]{plain(wait.reason)}[/]" if caught else plain(wait.reason)
