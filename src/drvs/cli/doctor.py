"""drvs doctor: is this host ready, and is the node well?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.cli.checks.finding import Finding

_SIGNS = {"ok": "✓", "warn": "!", "fail": "✗"}
_ASCII_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def findings() -> list[Finding]:
    """Return what every check says; one that breaks is a finding itself."""
    from drvs.cli.checks import host, node
    from drvs.cli.checks.finding import fail

    found: list[Finding] = []
    for check in (*host.ALL, *node.ALL):
        try:
            found += check()
        except Exception as error:
            found.append(
                fail(check.__name__, f"could not be checked: {type(error).__name__}: {error}", "Report this as a bug.")
            )
    return found


def doctor(json: Json = False) -> None:
    """Check this host and the node, and say what to do.

    Looks at the kernel and its features, permissions, versions, limits, noded, and the invariants of every VM.

    The exit status is 1 if something keeps drvs from working; warnings leave it 0.
    """
    from drvs.ui.table import show_json

    found = findings()
    if json:
        show_json([finding.as_json() for finding in found])
    else:
        _show(found)
    raise typer.Exit(1 if any(finding.level == "fail" for finding in found) else 0)


def _show(found: list[Finding]) -> None:
    import sys

    from rich.table import Table

    from drvs.ui.console import out, unicode_ok
    from drvs.ui.table import draw, plain

    signs = _SIGNS if unicode_ok(sys.stdout) and out().is_terminal else _ASCII_SIGNS
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for finding in found:
        level = finding.level.value
        grid.add_row(f"[{level}]{signs[level]}[/]", plain(finding.what), plain(finding.text))
        if finding.next_step:
            grid.add_row("", "", f"[name]next:[/] {plain(finding.next_step)}")
    draw(grid)
    out().print(_summary(found))


def _summary(found: list[Finding]) -> str:
    failed, warned = (sum(finding.level == level for finding in found) for level in ("fail", "warn"))
    if failed:
        return f"\n[fail]{failed} of {len(found)} checks failed.[/]"
    if warned:
        return f"\n[ok]drvs works here[/], with {warned} remark{'s' if warned > 1 else ''}."
    return "\n[ok]All is well.[/]"
