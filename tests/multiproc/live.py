"""The model's steps made by real processes: each slot's calls are made, and slept through, by a process of its own.

What the stepping face tells (blocked, woken) is seen from outside here: a call has blocked when its slot says so and
its owner sleeps, and somebody was woken when his process reports the end of its call.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import time
from dataclasses import dataclass

from model.numbers import CALLER, NONE, Code, In, Op
from model.real import Real, received_result
from model.state import Limits, Outcome, Result

from drvs.core import Endpoint, Message, _core
from support import procfs

PATIENCE_S = 20.0
SIGNAL_AGAIN_S = 0.2
COMMAND, REPORT = struct.Struct("<iiqI64s"), struct.Struct("<i?I64s")
BLOCKED = _core.RTS_SENDING | _core.RTS_RECEIVING | _core.RTS_ONCOPY


@dataclass
class Process:
    """The owner of a slot, as its puppeteer sees it."""

    pid: int
    command_fd: int
    report_fd: int
    op: Op | None = None  # of the call that it is in
    report: Result | None = None  # of a call that had blocked and has ended

    def reported(self, timeout_s: float) -> bool:
        """Whether its call has ended; reads how."""
        if self.report is None and self.op is not None and select.select([self.report_fd], [], [], timeout_s)[0]:
            self.report = self.read_report()
        return self.report is not None

    def read_report(self) -> Result:
        """How a call ended; without a message if it has received none."""
        assert self.op is not None
        code, is_notify, call, message = REPORT.unpack(os.read(self.report_fd, REPORT.size))
        if code != 0 or self.op not in (Op.RECEIVE, Op.RCVRQST, Op.SENDREC):
            return Result(Code(code))
        return received_result(message, is_notify, call)

    def end(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.command_fd)
        os.close(self.report_fd)


def obey(endpoint: Endpoint, command_fd: int, report_fd: int) -> None:
    """A process's whole life: make the calls it is told to make."""
    signal.signal(signal.SIGUSR2, lambda *_: None)
    while command := os.read(command_fd, COMMAND.size):
        op, peer, timeout_ms, value, text = COMMAND.unpack(command)
        message = Message()
        memoryview(message)[:] = text
        code = endpoint.raw(op, peer, None if op == Op.NOTIFY else message, timeout_ms, value)
        os.write(report_fd, REPORT.pack(code, message.is_notify, message.call, bytes(message)))


class Live(Real):
    """A region whose local slots belong to processes."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.processes: dict[int, Process] = {}

    # ---- calls ----------------------------------------------------------------------------------------------------

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
        """One operation, by the slot's own process if it has one that is not in a call already."""
        process = self.processes.get(me)
        if process is None or process.op is not None:
            return super().step(
                me, op, peer, body, nowait=nowait, answers=answers, value=value, as_p_nr=as_p_nr, source=source
            )
        process.op = op
        message = source.to_bytes(4, "little", signed=True) + body
        os.write(process.command_fd, COMMAND.pack(op, peer, 0 if nowait else -1, value, message))
        deadline = time.monotonic() + PATIENCE_S
        while not process.reported(0):
            if self._sleeps(me):
                return Outcome(Code.BLOCKED)
            assert time.monotonic() < deadline, f"slot {me} neither blocks nor returns:\n{procfs.stacks(process.pid)}"
        result, process.report, process.op = process.report, None, None
        assert result is not None
        return Outcome(result.code, [], result)

    def _sleeps(self, me: int) -> bool:
        snapshot = self.snapshot(me)
        asleep = procfs.state_and_parent(self.processes[me].pid)[0] == "S"
        return bool(snapshot["rts_all"] & BLOCKED and snapshot["waiting"]) and asleep

    def finish(self, me: int, op: Op) -> Result:
        """What its process has reported."""
        process = self.processes[me]
        result, process.report, process.op = process.report, None, None
        assert result is not None, f"slot {me} has reported nothing"
        return result

    def cancel(self, me: int, verdict: Code) -> Outcome:
        """A signal to the process, where there is a call to break into."""
        before = self.snapshot(me)["rts_all"]
        if me not in self.processes or not before & BLOCKED:
            return super().cancel(me, verdict)
        self._break_in(self.processes[me], me)
        return Outcome(Code.BLOCKED if before & _core.RTS_ONCOPY else Code.OK)

    def _break_in(self, process: Process, me: int) -> None:
        """Signal until it has reacted: one that comes between two sleeps of a call ends neither."""
        deadline, again = time.monotonic() + PATIENCE_S, 0.0
        while self.snapshot(me)["rts_all"] & (_core.RTS_SENDING | _core.RTS_RECEIVING):
            now = time.monotonic()
            assert now < deadline, f"slot {me} does not react to signals:\n{procfs.stacks(process.pid)}"
            if now > again:
                os.kill(process.pid, signal.SIGUSR2)
                again = now + SIGNAL_AGAIN_S

    def settle(self, expected: list[int]) -> list[int]:
        """Who has woken: those who should are waited for, the others must sleep on."""
        for index in expected:
            if index in self.processes:
                self.processes[index].reported(PATIENCE_S)
        return [
            index for index, process in self.processes.items() if process.report is None and process.reported(0)
        ] + [index for index in expected if index not in self.processes or self.processes[index].report is not None]

    # ---- births and deaths ----------------------------------------------------------------------------------------

    def bind(self, index: int, *, remote: bool = False, backup: bool = False, want: int = 0) -> tuple[Code, int, int]:
        """Bind a slot; one of this node's gets a process."""
        if remote or backup:
            outcome = super().bind(index, remote=remote, backup=backup, want=want)
            if outcome[0] == Code.OK:
                self.forget(index)
            return outcome
        ticket_fd, give_fd = os.pipe()
        process = self._start(index, ticket_fd, give_fd)
        code, endpoint, incarnation = self.region.bind(index, process.pid, process.pid, 0, 0, 0, f"slot{index}")
        os.close(ticket_fd)
        if code == 0:
            self.forget(index)
            self.processes[index] = process
            os.write(give_fd, struct.pack("<Ii", incarnation, endpoint))
        else:
            process.end()
        os.close(give_fd)
        return (Code(code), endpoint, incarnation) if code == 0 else (Code(code), 0, 0)

    def _start(self, index: int, ticket_fd: int, give_fd: int) -> Process:
        hear_fd, command_fd = os.pipe()
        report_fd, tell_fd = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                procfs.prctl(procfs.PR_SET_PDEATHSIG, signal.SIGKILL)
                os.close(give_fd)
                incarnation, endpoint = struct.unpack("<Ii", os.read(ticket_fd, 8))
                obey(Endpoint(self.region, index, incarnation, endpoint, 0), hear_fd, tell_fd)
            finally:
                os._exit(1)
        os.close(hear_fd)
        os.close(tell_fd)
        return Process(pid, command_fd, report_fd)

    def forget(self, index: int) -> None:
        """The process that had this slot before, if any, is over."""
        process = self.processes.pop(index, None)
        if process is not None:
            process.end()

    def close(self) -> None:
        """End them all."""
        for index in list(self.processes):
            self.forget(index)


def is_request(result: Result) -> bool:
    """A request was received."""
    return bool(result.flags & In.REQUEST)
