"""The entry point of `drvs`: puts the groups together and turns every error into two lines and an exit status."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

import typer
from typer.core import TyperGroup

from drvs.cli import (
    bench,
    ca,
    cat,
    completion,
    config,
    demo,
    doctor,
    dump,
    exits,
    image,
    lab,
    mount,
    node,
    ps,
    run,
    sim,
    version,
    vm,
)

_HELP = """\
Rendezvous IPC between processes, in shared memory.

\b
Start a node, make a VM, and run something in it:
  drvs up
  drvs vm create lab
  drvs run --vm lab --slot 10 -- python server.py
  drvs ps

New here? `drvs demo` shows it all in ten seconds, and `drvs doctor` says whether this host is ready."""

_ORDER = (
    "up", "down", "status", "vm", "run", "ps", "dump", "cat", "ls", "mount", "umount", "image", "ca", "gc", "doctor",
    "demo", "lab", "sim", "bench", "config", "completion", "version",
)  # fmt: skip


class Ordered(TyperGroup):
    """Lists the commands in the order in which a newcomer needs them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return their names."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    cls=Ordered,
    name="drvs",
    help=_HELP,
    epilog="\b\n" + exits.TEXT,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def every_command(
    runtime_dir: Annotated[
        str | None,
        typer.Option("--runtime-dir", metavar="DIR", help="The node's runtime directory (default: DRVS_RUNTIME_DIR)."),
    ] = None,
) -> None:
    """Take the options that stand before the command."""
    if runtime_dir is not None:
        os.environ["DRVS_RUNTIME_DIR"] = os.path.abspath(runtime_dir)


for command in (
    node.up, node.down, node.status, node.gc, ps.ps, cat.cat, cat.ls, mount.mount, mount.umount, doctor.doctor,
    demo.demo, version.version,
):  # fmt: skip
    app.command()(command)
app.command()(config.config)
app.command()(sim.sim)
app.command(context_settings={"allow_interspersed_args": False})(run.run)
for group in (vm, dump, image, ca, lab, bench, completion):
    app.add_typer(group.group, name=group.__name__.rpartition(".")[2])


def main() -> None:
    """Run the command line and leave with its exit status.

    Nothing escapes as a traceback but what is a bug of drvs (set DRVS_TRACEBACK=1 to see where any error came from).
    """
    if "_DRVS_COMPLETE" in os.environ:
        import_module("typer.completion").completion_init()
    try:
        app(prog_name="drvs")
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
    except BrokenPipeError:
        _swallow_stdout()
        sys.exit(exits.SIGNALLED + 13)
    except (OSError, ValueError, RuntimeError) as error:
        _leave(error)
    except Exception as error:
        if getattr(error, "code", None) is None:
            raise
        _leave(error)


def _leave(error: Exception) -> None:
    from drvs.cli.failure import tell_error

    if os.environ.get("DRVS_TRACEBACK"):
        raise error
    sys.exit(tell_error(error))


def _swallow_stdout() -> None:
    """The reader of our pipe is gone: keep the interpreter from saying so once more when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
