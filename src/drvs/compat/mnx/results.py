"""From the Python API's results and exceptions to the guide's numbers, for the calls of chapter 4.

Every call answers with a result or a negative code and leaves 0 or that code in `mnx_errno()`. An endpoint can be
negative too (a task's is): mnx_errno tells it from an error.
"""

from __future__ import annotations

from collections.abc import Callable

from drvs.api import VM
from drvs.base.errors import DrvsError
from drvs.compat.mnx import constants as mnx
from drvs.compat.mnx.errno import failed, returned
from drvs.compat.mnx.threads import this_node


def code_of(call: Callable[[], object]) -> int:
    """Make a call whose result is that it was done."""

    def done() -> int:
        call()
        return mnx.OK

    return result_of(done)


def result_of(call: Callable[[], int]) -> int:
    """Make a call whose result is a number."""
    try:
        return returned(int(call()))
    except DrvsError as error:
        return failed(error.code)
    except OverflowError:  # a number that no C type has
        return failed(mnx.EMOLRANGE)
    except UnicodeError:  # a name that is no text
        return failed(mnx.EMOLINVAL)


def vm_of(vmid: int) -> VM:
    """Return the VM with this number, whether it runs or not."""
    return VM(this_node(), vmid, "")


def seconds(to_ms: int) -> float | None:
    """Return milliseconds as the Python API counts: None for ever."""
    return None if to_ms < 0 else to_ms / 1000
