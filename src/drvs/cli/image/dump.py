"""drvs image dump: write the image of a running process."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from drvs.cli.image.files import File, size, threads, written
from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.procspace.image import Dumped

HookTimeout = Annotated[
    float, typer.Option("--hook-timeout", metavar="SECONDS", min=0.0, help="How long hooks of the process may take.")
]
NoHooks = Annotated[bool, typer.Option("--no-hooks", help="Leave its hooks out; what copies will share is said.")]
CloseFds = Annotated[bool, typer.Option("--close-fds", help="Dead placeholders for descriptors that cannot be kept.")]


def dump(
    pid: Annotated[int, typer.Argument(metavar="PID", min=1, help="The process; all its threads are dumped.")],
    file: File,
    stop: Annotated[
        bool, typer.Option("--stop", help="End the process once its image is complete and synced.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Keep pages of files too, so that a restore needs no files.")
    ] = False,
    close_fds: CloseFds = False,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Let it go on as soon as a duplicate is forked, and write from that.")
    ] = False,
    executable: Annotated[
        bool, typer.Option("--executable", help="Make the image a program: running it restores the process.")
    ] = False,
    hook_timeout: HookTimeout = 10.0,
    no_hooks: NoHooks = False,
    json: Json = False,
) -> None:
    """Write the image of a running process.

    The process stands still meanwhile and runs on, whatever happens to this command. What an image cannot keep is
    refused by name, before the process is touched.
    """
    from drvs.procspace import image
    from drvs.procspace.image import executable as program
    from drvs.ui.progress import steps

    if stop and snapshot:
        raise typer.BadParameter("a process that is to end needs no snapshot", param_hint="--snapshot")
    if executable and file == "-":
        raise typer.BadParameter("standard output is no program", param_hint="--executable")
    with written(file) as fd, steps(1) as bar:
        if executable:
            program.begin(fd)
        done = image.dump(
            pid, fd, stop=stop, everything=everything, close_fds=close_fds, snapshot=snapshot, hooks=not no_hooks,
            hook_timeout_s=hook_timeout, progress=lambda now, total: bar.at(now / total),
        )  # fmt: skip
    say_what_is_shared(done.hooks)
    _report(file, done, stop, json)


def say_what_is_shared(hooks: str) -> None:
    """Say what has not been put right in an image whose hooks were left out."""
    from drvs.procspace.image.mailbox import SHARED

    if hooks == "left out":
        typer.echo(f"Its hooks were left out: {SHARED}.", err=True)


def _report(file: str, done: Dumped, stop: bool, json: bool) -> None:
    from drvs.ui.table import show_json

    if json:
        facts: dict[str, object] = {"pid": done.pid, "threads": done.threads, "page_bytes": done.page_bytes}
        facts |= {"image_bytes": done.image_bytes, "paused_ms": round(done.paused_s * 1000, 3)}
        facts |= {"stopped": stop, "hooks": done.hooks}
        with redirect_stdout(sys.stderr if file == "-" else sys.stdout):
            show_json(facts)
        return
    typer.echo(
        f"{file}: process {done.pid}, {threads(done.threads)}, {size(done.image_bytes)}; "
        + ("it has ended." if stop else f"it stood still for {done.paused_s * 1000:.1f} ms."),
        err=file == "-",
    )
