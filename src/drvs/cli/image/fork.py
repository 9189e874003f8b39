"""drvs image fork: make copies of a process that runs, and goes on."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from drvs.cli.image.dump import CloseFds, HookTimeout, NoHooks, say_what_is_shared
from drvs.cli.image.start import made, print_pids, report
from drvs.cli.options import Json


def fork(
    pid: Annotated[int, typer.Argument(metavar="PID", min=1, help="The process; it goes on after a short pause.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]...", help="What drvs.hooks hands to each copy.")
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many copies.")] = 1,
    share_files: Annotated[
        bool, typer.Option("--share-files", help="Let all copies write to the files that the process has open for it.")
    ] = False,
    close_fds: CloseFds = False,
    hook_timeout: HookTimeout = 10.0,
    no_hooks: NoHooks = False,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Print the pids and return, leaving each in a session of its own.")
    ] = False,
    json: Json = False,
) -> None:
    """Start copies of a running process, each told its rank. The process goes on.

    It stands still only until a duplicate of it is made, and this command says for how long. The copies run in the
    foreground, as with `drvs image start`.
    """
    from drvs.cli import foreground
    from drvs.procspace.image.live import template_of

    sys.stdout.flush()
    with foreground.signals_held():
        with template_of(
            pid, argv=arguments or (), share_files=share_files, close_fds=close_fds, hooks=not no_hooks,
            hook_timeout_s=hook_timeout, detach=detach,
        ) as (template, done):  # fmt: skip
            typer.echo(f"process {pid} stood still for {done.paused_s * 1000:.1f} ms.", err=True)
            say_what_is_shared(done.hooks)
            pids = made(template, n)
        if detach:
            print_pids(pids, json)
            return
        statuses = foreground.follow_all(pids)
    report(pids, statuses, json)
    raise typer.Exit(next((status for status in statuses if status), 0))
