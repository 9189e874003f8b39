"""drvs image dump: write the image of a running process."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from drvs.cli.image.files import File, size, threads, written
from drvs.cli.options import Json


def dump(
    pid: Annotated[int, typer.Argument(metavar="PID", min=1, help="The process; all its threads are dumped.")],
    file: File,
    stop: Annotated[
        bool, typer.Option("--stop", help="End the process once its image is complete and synced.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Keep pages of files too, so that a restore needs no files.")
    ] = False,
    close_fds: Annotated[
        bool, typer.Option("--close-fds", help="Dead placeholders for descriptors that cannot be kept.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the image of a running process.

    The process stands still meanwhile and runs on, whatever happens to this command. What an image cannot keep is
    refused by name, before the process is touched.
    """
    from drvs.procspace import image
    from drvs.ui.progress import steps
    from drvs.ui.table import show_json

    with written(file) as fd, steps(1) as bar:
        done = image.dump(
            pid, fd, stop=stop, everything=everything, close_fds=close_fds,
            progress=lambda now, total: bar.at(now / total),
        )  # fmt: skip
    if json:
        facts: dict[str, object] = {"pid": pid}
        facts |= {"threads": done.threads, "page_bytes": done.page_bytes, "image_bytes": done.image_bytes}
        facts |= {"paused_ms": round(done.paused_s * 1000, 3), "stopped": stop}
        with redirect_stdout(sys.stderr if file == "-" else sys.stdout):
            show_json(facts)
        return
    typer.echo(
        f"{file}: process {pid}, {threads(done.threads)}, {size(done.image_bytes)}; "
        + ("it has ended." if stop else f"it stood still for {done.paused_s * 1000:.1f} ms."),
        err=file == "-",
    )
