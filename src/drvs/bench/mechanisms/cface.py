"""The same calls from C: two programs over libm3ipc (csrc/pair), without Python in either.

The server side becomes one of them by exec, the client side drives the other over pipes; pinning and the order of
rounds are those of every pair.
"""

from __future__ import annotations

import os
import subprocess

import drvs
from drvs.base import native
from drvs.bench.mechanisms.base import Mechanism
from drvs.bench.mechanisms.ours import VM_NAME

SYSTEM_SLOTS = range(28, 0, -1)
"""Slots whose endpoint is their number, so that the client knows the server's."""


class CFace(Mechanism):
    """mnx_sendrec against a server that receives and answers in two calls."""

    name = "drvs-c"
    way = "sendrec"

    def prepare(self) -> None:
        vm = drvs.connect().vm(VM_NAME)
        bound = {process.p_nr for process in vm.processes()}
        self.vmid = int(vm.id)
        self.server = next(slot for slot in SYSTEM_SLOTS if slot not in bound)

    def serve(self) -> None:
        os.execv(native.PAIR, [os.fspath(native.PAIR), "serve", str(self.vmid), str(self.server)])

    def open(self) -> None:
        command = [os.fspath(native.PAIR), "call", str(self.vmid), str(self.server)]
        self.program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, verb: str, calls: int, answers: int) -> list[int]:
        """Let the client program measure; returns the numbers it prints."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write(f"{verb} {self.way} {calls}\n")
        self.program.stdin.flush()
        lines = [self.program.stdout.readline() for _ in range(answers)]
        if not lines[-1]:
            raise RuntimeError(f"the C program ended with status {self.program.wait()}")
        return [int(line) for line in lines]

    def batch(self, calls: int) -> int:
        return self.ask("batch", calls, 1)[0]

    def singles(self, calls: int, clock_cost: int) -> list[int]:
        """`clock_cost` is Python's; C reads the clock in a small part of that, which stays in."""
        return self.ask("singles", calls, calls)


class CFaceSendReceive(CFace):
    """One message each way by mnx_send and mnx_receive."""

    name = "drvs-c (send/receive)"
    way = "send"


class CFaceNotify(CFace):
    """One notification each way."""

    name = "drvs-c (notify)"
    way = "notify"


def cface() -> list[Mechanism]:
    """Return the C library's calls, none where it is not installed."""
    return [CFace(), CFaceSendReceive(), CFaceNotify()] if native.PAIR.exists() else []
