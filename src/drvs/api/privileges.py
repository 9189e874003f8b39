"""Privileges of an endpoint: what it may call, and with whom it may talk.

They are checked by the core on every call. That stops mistakes, not malice: members of a VM share its memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from drvs.base.clock import NS_PER_S
from drvs.base.flags import IPC_CALLS, Call, Level
from drvs.base.ids import NONE
from drvs.base.limits import MAX_SYSPROCS


class Privileges(msgspec.Struct, frozen=True, kw_only=True):
    """The privileges of one endpoint; a fresh one may do everything.

    Change a copy, then set it: ``vm.set_privileges(ep, vm.privileges(ep).without(Call.VCOPY))``.

    Attributes:
        id: the bit that stands for this endpoint in the maps of others (s_id).
        warn: process number that gets a notification when this one exits; NONE for nobody.
        level: a label for the privilege level; nothing is derived from it.
        traps: bit n: IPC call number n is allowed.
        calls: bit n: call number n, which is no IPC call, is allowed.
        alarm: second of `time.monotonic()` at which this endpoint gets a notification; None for no alarm.
        ipc_from, ipc_to: bit n: may receive from, send to the endpoint whose `id` is n.
    """

    id: int
    warn: int = int(NONE)
    level: int = int(Level.USER)
    traps: int = 0xFFFFFFFF
    calls: int = 0xFFFFFFFFFFFFFFFF
    alarm: float | None = None
    ipc_from: int = -1
    ipc_to: int = -1

    def replace(self, **changes: int | float | None) -> Privileges:
        """Return a copy with some attributes changed."""
        return msgspec.structs.replace(self, **changes)

    def allows(self, call: Call) -> bool:
        """Tell whether `call` is allowed."""
        return bool((self.traps if call in IPC_CALLS else self.calls) >> call & 1)

    def without(self, *denied: Call) -> Privileges:
        """Return a copy that may not make these calls."""
        traps, calls = _bits(denied)
        return self.replace(traps=self.traps & ~traps, calls=self.calls & ~calls)

    def only(self, *allowed: Call) -> Privileges:
        """Return a copy that may make these calls and no others."""
        traps, calls = _bits(allowed)
        return self.replace(traps=traps, calls=calls)


def _bits(calls: Iterable[Call]) -> tuple[int, int]:
    traps = others = 0
    for call in calls:
        if call in IPC_CALLS:
            traps |= 1 << call
        else:
            others |= 1 << call
    return traps, others


def from_reply(row: dict[str, Any]) -> Privileges:
    """Return the privileges in noded's answer to getpriv."""
    return Privileges(
        id=row["id"],
        warn=row["warn"],
        level=row["level"],
        traps=row["traps"],
        calls=row["calls"],
        alarm=row["alarm_ns"] / NS_PER_S if row["alarm_ns"] else None,
        ipc_from=int(row["ipc_from"], 16),
        ipc_to=int(row["ipc_to"], 16),
    )


def to_fields(privileges: Privileges) -> dict[str, Any]:
    """Return the fields of a setpriv request; a map of -1 (everybody) is left as it is in a fresh endpoint."""
    return {
        "id": privileges.id,
        "warn": privileges.warn,
        "level": privileges.level,
        "traps": privileges.traps,
        "calls": privileges.calls,
        "alarm_ns": round(privileges.alarm * NS_PER_S) if privileges.alarm else 0,
        "ipc_from": _hexadecimal(privileges.ipc_from),
        "ipc_to": _hexadecimal(privileges.ipc_to),
    }


def _hexadecimal(bits: int) -> str:
    """A map as the protocol writes it; a negative one has a bit for every slot there can be."""
    return f"{bits & ((1 << MAX_SYSPROCS) - 1):x}"
