"""drvs image: put a running program aside, bring it back, look at what was kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drvs.cli.options import Json

if TYPE_CHECKING:
    from drvs.procspace.image.model import Meta

group = typer.Typer(help="Put a running program aside, and bring it back.", no_args_is_help=True, rich_markup_mode=None)

File = Annotated[str, typer.Argument(metavar="FILE", help="The image; - is standard input or output.")]


@group.command()
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

    with _written(file) as fd, steps(1) as bar:
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
        f"{file}: process {pid}, {_threads(done.threads)}, {_bytes(done.image_bytes)}; "
        + ("it has ended." if stop else f"it stood still for {done.paused_s * 1000:.1f} ms."),
        err=file == "-",
    )


@group.command()
def restore(
    file: File,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Print the pid and return, leaving it in a session of its own.")
    ] = False,
    keep_pid: Annotated[
        bool, typer.Option("--keep-pid", help="Under the ids it had; fails if one is taken. Needs root.")
    ] = False,
    json: Json = False,
) -> None:
    """Make the process of an image run again.

    In the foreground: with this terminal's streams, signals passed on, and its exit status. Everything is checked
    before the first instruction of it runs.
    """
    from drvs.cli import foreground
    from drvs.procspace import image
    from drvs.ui.table import show_json

    sys.stdout.flush()
    with _read(file) as fd, foreground.signals_held():
        pid = image.restore(fd, keep_pid=keep_pid, detach=detach)
        if detach:
            if json:
                show_json({"pid": pid})
            else:
                typer.echo(str(pid))
            return
        raise typer.Exit(foreground.follow(pid))


@group.command()
def show(file: File, json: Json = False) -> None:
    """Show what an image holds."""
    from drvs.procspace import image
    from drvs.ui.table import show_json, show_pairs

    with _read(file) as fd:
        facts = describe(image.read_meta(fd))
    if json:
        show_json(facts)
    else:
        show_pairs((name.replace("_", " "), _text(value)) for name, value in facts.items())


@group.command()
def verify(file: File, json: Json = False) -> None:
    """Check every checksum of an image, and whether it fits this machine, kernel and these files."""
    from drvs.procspace import image
    from drvs.procspace.image.checks import check_fit
    from drvs.ui.progress import steps
    from drvs.ui.table import show_json

    with _read(file) as fd:
        total = max(1, os.fstat(fd).st_size)
        with steps(1) as bar:
            meta, page_bytes = image.verify(fd, lambda now: bar.at(now / total))
    check_fit(meta)
    if json:
        show_json({"pid": meta.pid, "page_bytes": page_bytes, "sound": True, "fits": True})
    else:
        typer.echo(f"{file} is sound and fits here: {_threads(len(meta.threads))}, {_bytes(page_bytes)} of pages.")


def describe(meta: Meta) -> dict[str, Any]:
    """Return the facts of an image that people ask for."""
    from datetime import UTC, datetime

    return {
        "pid": meta.pid,
        "command": meta.command,
        "taken": datetime.fromtimestamp(meta.taken_at, UTC).isoformat(timespec="seconds"),
        "kernel": meta.machine.kernel,
        "user": meta.credentials.uids[1],
        "directory": meta.cwd,
        "threads": [thread.name.decode(errors="replace") for thread in meta.threads],
        "mappings": len(meta.regions),
        "files": [file.path for file in meta.files],
        "descriptors": {number: _opened(opened) for opened in meta.open_files for number, _ in sorted(opened.numbers)},
    }


def _opened(opened: Any) -> str:
    kind = type(opened).__name__.lower()
    detail = getattr(opened, "path", "") or getattr(opened, "name", "") or getattr(opened, "what", "")
    return f"{kind} {detail}".strip()


def _text(value: object) -> str:
    from drvs.ui.table import plain

    if isinstance(value, dict):
        return "\n".join(plain(f"{name}: {what}") for name, what in value.items())
    return plain(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count != 1 else ''}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@contextmanager
def _written(file: str) -> Iterator[int]:
    """Give a descriptor for a new image: a file appears under its name, mode 0600, only when it is complete."""
    if file == "-":
        yield sys.stdout.fileno()
        return
    part = f"{file}.part-{os.getpid()}"
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield fd
        os.rename(part, file)
    except BaseException:
        os.unlink(part)
        raise
    finally:
        os.close(fd)


@contextmanager
def _read(file: str) -> Iterator[int]:
    if file == "-":
        yield sys.stdin.fileno()
        return
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
