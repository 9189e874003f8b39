"""mnx_errno: how the last mnx_ call of this thread ended.

A legal result can be a negative number (the endpoint of a task slot is), and errors are negative too. So every call
leaves 0 here when it succeeded and its code when it did not.
"""

from __future__ import annotations

import threading


class _Errno(threading.local):
    value = 0


_errno = _Errno()


def mnx_errno() -> int:
    """Return the code of this thread's last call: 0 if it succeeded."""
    return _errno.value


def returned(value: int) -> int:
    """Return a result that is no error."""
    _errno.value = 0
    return value


def failed(code: int) -> int:
    """Return an error code and leave it in mnx_errno."""
    _errno.value = int(code)
    return int(code)


def ended(code: int) -> int:
    """Return a code that is 0 or an error."""
    _errno.value = int(code)
    return int(code)
