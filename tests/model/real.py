"""The real transitions, spoken to in the model's terms: codes, outcomes and results instead of tuples and bytes."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from drvs.core import _core
from model.numbers import CALLER, NONE, Code, In, Op, VmState
from model.state import Limits, Outcome, Priv, Result
from support.regions import make_region

NOWAIT = 1
KINDS = {(False, False): 0, (True, False): 1, (True, True): 2}
TIMESTAMP = slice(12, 28)  # of a notification's type and payload


class Real:
    """A region of the core's, stepped by hand."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.region = make_region(
            vmid=1, node=0, name="model", **{name: getattr(limits, name) for name in limits.__dataclass_fields__}
        )
        self.kernel_slot = limits.members

    def step(
        self,
        me: int,
        op: Op,
        peer: int,
        body: bytes,
        *,
        nowait: bool = False,
        answers: int = 0,
        value: int = 0,
        as_p_nr: int = CALLER,
        source: int = NONE,
    ) -> Outcome:
        """One operation; its result is there if it is done."""
        message = _core.Message()
        memoryview(message)[:] = source.to_bytes(4, "little", signed=True) + body
        flags = NOWAIT if nowait else 0
        code, wakes = self.region.step(
            me, op, peer, message, flags=flags, answers=answers, value=value, as_p_nr=as_p_nr
        )
        result = None
        if code <= 0:
            received = code == 0 and op in (Op.RECEIVE, Op.RCVRQST)
            result = (
                received_result(bytes(message), message.is_notify, message.call) if received else Result(Code(code))
            )
        return Outcome(Code(code), wakes, result)

    def finish(self, me: int, op: Op) -> Result:
        """How the blocked call of a slot ended; a plain sender has received nothing."""
        code, message, in_flags, in_call = self.region.finish(me, op)
        if code != 0 or op is Op.SEND:
            return Result(Code(code))
        return received_result(message, bool(in_flags & In.NOTIFY), in_call)

    def notify(self, as_p_nr: int, peer: int, value: int) -> Outcome:
        """Notify in the name of a process number."""
        code, wakes = self.region.step(self.kernel_slot, Op.NOTIFY, peer, b"", value=value, as_p_nr=as_p_nr)
        return Outcome(Code(code), wakes)

    def cancel(self, me: int, verdict: Code) -> Outcome:
        """Give up a blocked call."""
        return outcome(self.region.cancel(me, verdict))

    def wakeup(self, endpoint: int) -> Outcome:
        """Abort a receive."""
        return outcome(self.region.step_wakeup(self.kernel_slot, endpoint))

    def copy_begin(self, me: int, src: int, dst: int, nbytes: int) -> Outcome:
        """Begin a copy."""
        return Outcome(Code(self.region.copy_begin(me, src, dst, nbytes)[0]))

    def copy_end(self, me: int) -> Outcome:
        """End it."""
        return outcome(self.region.copy_end(me))

    def bind(self, index: int, *, remote: bool = False, backup: bool = False, want: int = 0) -> tuple[Code, int, int]:
        """Bind a slot."""
        kind = KINDS[remote or backup, backup]
        code, endpoint, incarnation = self.region.bind(index, 4000 + index, 4000 + index, 0, kind, want, f"slot{index}")
        return (Code(code), endpoint, incarnation) if code == 0 else (Code(code), 0, 0)

    def unbind_step(self, index: int, verdict: Code, *, force: bool) -> Outcome:
        """One step of an unbind."""
        return outcome(self.region.step_unbind(self.kernel_slot, index, 0, verdict, force))

    def set_priv(self, index: int, priv: Priv) -> Code:
        """Replace privileges."""
        return Code(self.region.setpriv(index, 0, astuple(priv)))

    def priv(self, index: int) -> Priv:
        """Read them."""
        return Priv(*self.region.getpriv(index))

    def end(self, state: VmState) -> None:
        """End the VM."""
        self.region.end(state)

    def snapshot(self, index: int) -> dict[str, Any]:
        """A slot's fields."""
        found = self.region.snapshot(index)
        assert isinstance(found, dict), f"snapshot of {index}: code {found}"
        return found

    def audit(self) -> list[str]:
        """Every invariant that does not hold."""
        return self.region.audit()


def outcome(pair: tuple[int, list[int]]) -> Outcome:
    """Of a call that gives back a code and wakes."""
    return Outcome(Code(pair[0]), pair[1])


def received_result(message: bytes, is_notify: bool, call: int) -> Result:
    """A delivered message; the time of a notification is checked to be one and then left out."""
    source = int.from_bytes(message[:4], "little", signed=True)
    body = message[4:]
    if is_notify:
        body = body[: TIMESTAMP.start] + bytes(TIMESTAMP.stop - TIMESTAMP.start) + body[TIMESTAMP.stop :]
    flags = In.NOTIFY if is_notify else In.REQUEST if call else In(0)
    return Result(Code.OK, source, body, flags, call)
