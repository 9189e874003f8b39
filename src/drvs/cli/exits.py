"""What the exit status of `drvs` says: the numbers, their text, and which error gives which."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
NO_NODE = 3
DENIED = 4
NOT_FOUND = 5
EXISTS = 6
TIMED_OUT = 124
CANNOT_EXECUTE = 126
NO_COMMAND = 127
SIGNALLED = 128
INTERRUPTED = 130

TEXT = """\
Exit status:
  0    all is well
  1    the operation failed, or a check did (doctor, demo)
  2    wrong usage
  3    no node is running; lab: there is none of that name
  4    not permitted
  5    no such VM, process, endpoint or node
  6    it exists already, or is in use
  124  the time given was over
  126  run: the command cannot be executed
  127  run: there is no such command
  128+N  the command was ended by signal N (130: Ctrl-C)
  run gives its command's own status in all other cases."""


def _by_code() -> dict[int, int]:
    from drvs.base.codes import Code

    return {
        Code.DRVSINIT: NO_NODE,
        Code.PERM: DENIED,
        Code.ACCES: DENIED,
        Code.CALLDENIED: DENIED,
        Code.TRAPDENIED: DENIED,
        Code.VMNOTRUN: NOT_FOUND,
        Code.NOTBIND: NOT_FOUND,
        Code.DSTDIED: NOT_FOUND,
        Code.SRCDIED: NOT_FOUND,
        Code.EXIST: EXISTS,
        Code.BUSY: EXISTS,
        Code.DRVSBUSY: EXISTS,
        Code.VMRUN: EXISTS,
        Code.TIMEDOUT: TIMED_OUT,
        Code.AGAIN: TIMED_OUT,
    }


def status_of(error: BaseException) -> int:
    """Return the exit status for an exception that ended a command.

    Args:
        error: a DrvsError, an OSError, or anything else (FAILED).
    """
    code, own = getattr(error, "code", None), getattr(error, "exit_status", None)
    if isinstance(own, int):
        return own
    if isinstance(code, int):
        return _by_code().get(code, FAILED)
    if isinstance(error, PermissionError):
        return DENIED
    if isinstance(error, TimeoutError):
        return TIMED_OUT
    return FAILED
