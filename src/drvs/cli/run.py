"""drvs run: start a command as a bound process.

The child is forked and waits; the parent binds it by its pid; then it becomes the command, which meets its endpoint
with `drvs.wait_for_bind()` (an exec keeps the binding). So the command never runs unbound, and a refused binding
starts nothing.
"""

from __future__ import annotations

import os
import signal
from typing import Annotated, NoReturn

import typer

from drvs.cli import exits
from drvs.cli.failure import fail
from drvs.cli.options import Vm

_FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGWINCH,
)  # fmt: skip
_FROM_KERNEL = 0x80


def run(
    vm: Vm,
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="The command and its arguments, after --.")],
    slot: Annotated[
        int | None, typer.Option("--slot", "-s", metavar="N", help="Its process number (default: any free user slot).")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="A name others can look it up by, at most 15 bytes.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not say where it was bound.")] = False,
) -> None:
    """Run CMD as a process of a VM.

    For example: drvs run --vm lab --slot 10 -- python server.py

    CMD finds its endpoint with drvs.wait_for_bind() (or mnx_wait4bind). It sees the same node as this command
    (DRVS_RUNTIME_DIR), gets this command's signals, and gives it its exit status.
    """
    from drvs.cli.reach import the_vm

    found = the_vm(vm)
    os.environ["DRVS_RUNTIME_DIR"] = found.node.runtime_dir
    waiting = set(_FORWARDED) | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    child = Child(command)
    try:
        endpoint = found.lclbind(child.pid, slot, name)
    except BaseException:
        child.abandon()
        raise
    if not quiet:
        typer.echo(f"drvs: process {child.pid} is endpoint {endpoint} of VM '{found.name}'", err=True)
    child.release()
    raise typer.Exit(child.outlive(waiting))


class Child:
    """A forked process that becomes a command when it is told to."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        ready, self._go = os.pipe()
        self._failure, failing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)
            self._become(ready, failing)
        os.close(ready)
        os.close(failing)

    def _become(self, ready: int, failing: int) -> NoReturn:
        """In the child: wait for the word, then exec, which closes the pipe through which a failure is told."""
        try:
            if os.read(ready, 1) != b"+":
                os._exit(exits.FAILED)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvp(self.command[0], self.command)
        except OSError as error:
            os.write(failing, str(error.errno).encode())
        finally:
            os._exit(exits.NO_COMMAND)

    def release(self) -> None:
        """Let it become the command.

        Raises:
            typer.Exit: there is no such command, or it cannot be executed (told on stderr).
        """
        os.write(self._go, b"+")
        os.close(self._go)
        problem = os.read(self._failure, 16)
        os.close(self._failure)
        if problem:
            self._collect()
            missing = int(problem) == 2
            fail(
                f"cannot run {self.command[0]!r}: {os.strerror(int(problem))}",
                "Check the name and PATH." if missing else "Check that the file is executable.",
                exits.NO_COMMAND if missing else exits.CANNOT_EXECUTE,
            )

    def abandon(self) -> None:
        """It was not bound: let it go without ever becoming the command."""
        os.close(self._go)
        self._collect()

    def _collect(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def outlive(self, waiting: set[signal.Signals]) -> int:
        """Hand signals on until it ends; returns its exit status as a shell would.

        A key at the terminal signals the whole foreground group, the child included: only what another process sent to
        us alone is handed on.
        """
        while True:
            info = signal.sigwaitinfo(waiting)
            if info.si_signo != signal.SIGCHLD:
                if info.si_code != _FROM_KERNEL:
                    os.kill(self.pid, info.si_signo)
                continue
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return exits.SIGNALLED - code if code < 0 else code
