"""What the processes of a town do all day: calls of every kind to random neighbours, each result checked.

A request carries numbers that only its answer can match, so an answer that went to the wrong caller, or to the right
one's next call, is noticed by whoever gets it.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from drvs.core import Endpoint, Message, Region, _core

ANY = _core.ANY
LATE_S = 1.0
"""How long after its deadline a timed call may return."""

EXPECTED = {
    name: _core.CODES[name]
    for name in (
        "OK",
        "AGAIN",
        "TIMEDOUT",
        "LOCKED",
        "DSTDIED",
        "SRCDIED",
        "PROCSTS",
        "OVERRUN",
        "VMNOTRUN",
        "BUSY",
        "NOTREADY",
        "ENDPOINT",
        "NOTBIND",
        "WOKENUP",
        "RANGE",
    )
}
"""Codes that the comings and goings of others explain."""

MARK = 0x5EED0000

BUSYBODY = 0
"""Who lives here in a town where all calls are timed does nothing but take the lock."""


@dataclass
class Board:
    """Words that the whole town sees: who lives where, and what everyone has done."""

    size: int

    def __post_init__(self) -> None:
        self._words = mmap.mmap(-1, 4096 * (1 + self.size * 32 // 4096))

    def endpoint(self, place: int) -> int:
        """Of who lives there now."""
        return int(struct.unpack_from("<i", self._words, place * 32)[0])

    def move_in(self, place: int, endpoint: int) -> None:
        """Somebody lives there now."""
        struct.pack_into("<i", self._words, place * 32, endpoint)

    def calls(self, place: int) -> int:
        """How many calls have been made from there."""
        return int(struct.unpack_from("<q", self._words, place * 32 + 8)[0])

    def count(self, place: int) -> None:
        """One more; by its inhabitant alone."""
        struct.pack_into("<q", self._words, place * 32 + 8, self.calls(place) + 1)

    def worst_lateness(self, place: int) -> float:
        """Seconds after its deadline that a timed call came back, at worst."""
        return float(struct.unpack_from("<d", self._words, place * 32 + 16)[0])

    def note_lateness(self, place: int, late_s: float) -> None:
        """Keep the worst."""
        if late_s > self.worst_lateness(place):
            struct.pack_into("<d", self._words, place * 32 + 16, late_s)

    def close(self) -> None:
        """Forget it."""
        self._words.close()


class Wrong(Exception):
    """Something happened that no death or timeout explains."""


class Person:
    """One process of the town."""

    def __init__(
        self,
        region: Region,
        slot: int,
        incarnation: int,
        endpoint: int,
        place: int,
        board: Board,
        seed: int,
        timed: bool,
    ) -> None:
        self.me = Endpoint(region, slot, incarnation, endpoint, 5)
        self.place, self.board, self.timed = place, board, timed
        self.dice = random.Random(seed)
        self.numbers = 0
        self.message = Message()

    def live(self) -> None:
        """Until the VM ends."""
        habits = self.habits()
        while True:
            code = self.dice.choice(habits)()
            if code == EXPECTED["VMNOTRUN"]:
                return
            if code not in EXPECTED.values():
                raise Wrong(f"code {code}")

    def habits(self) -> list[Callable[[], int]]:
        """What this one does, the frequent things more than once."""
        if self.timed and self.place == BUSYBODY:
            return [self.fuss]
        common = [self.ask, self.serve, self.ask, self.serve]
        return [*common, self.serve_on, self.send, self.receive, self.notify, self.pass_on]

    def fuss(self) -> int:
        """In and out of the lock all the time, for those who want to stop somebody there."""
        code = EXPECTED["AGAIN"]
        for _ in range(200):
            code = self.me.raw(_core.RECEIVE, ANY, self.message, 0)
        self.board.count(self.place)
        return code

    # ---- one call -------------------------------------------------------------------------------------------------

    def call(self, op: int, peer: int, message: Message | None) -> int:
        """Make it, with some time limit or none; late returns are noted."""
        timeout_ms = self.dice.choice([0, 1, 5, 20] if self.timed else [0, 1, 20, 200, -1, -1])
        began = time.monotonic()
        code = self.me.raw(op, peer, message, timeout_ms)
        if timeout_ms >= 0:
            self.board.note_lateness(self.place, time.monotonic() - began - timeout_ms / 1000)
        self.board.count(self.place)
        return code

    def neighbour(self) -> int:
        """Anybody but oneself."""
        place = self.dice.randrange(self.board.size - 1)
        return self.board.endpoint(place if place < self.place else place + 1)

    def question(self) -> tuple[int, int]:
        """A request's numbers, in `message`."""
        self.numbers += 1
        numbers = (self.me.endpoint, self.numbers)
        self.message = Message(1)
        self.message.set_m1(*numbers, numbers[0] ^ numbers[1] ^ MARK, 0, 0, 0)
        return numbers

    def read_question(self) -> None:
        """A request or a plain message is whole, and from who it says."""
        who, number, check, *_ = self.message.get_m1()
        if who ^ number ^ MARK != check or self.message.source != who:
            raise Wrong(f"a message was mangled: {self.message!r}")

    def make_answer(self) -> Message:
        """Of the request in `message`."""
        who, number, *_ = self.message.get_m1()
        self.message.type = 2
        self.message.m1_i3 = who ^ number ^ ~MARK
        return self.message

    # ---- habits ---------------------------------------------------------------------------------------------------

    def ask(self) -> int:
        """Call a neighbour; the answer must be to this very question."""
        numbers = self.question()
        code = self.call(_core.SENDREC, self.neighbour(), self.message)
        if code == 0:
            who, number, check, *_ = self.message.get_m1()
            if self.message.type == 2 and ((who, number) != numbers or check != who ^ number ^ ~MARK):
                raise Wrong(f"asked {numbers}, answered {self.message!r}")
        return code

    def serve(self) -> int:
        """Take a request and answer it, or not (so that callers see deaths and timeouts in that half, too)."""
        code = self.call(_core.RCVRQST, ANY, self.message)
        if code != 0:
            return code
        self.read_question()
        if self.dice.random() < 0.01:
            return 0
        return self.me.raw(_core.REPLY, self.message.source, self.make_answer(), 0)

    def serve_on(self) -> int:
        """A server's loop for a while: answer and receive in one step."""
        code = self.call(_core.RECEIVE, ANY, self.message)
        for _ in range(self.dice.randrange(20)):
            if code != 0 or not self.message.is_request:
                return code
            self.read_question()
            client = self.message.source
            try:
                self.me.reply_receive(client, self.make_answer(), timeout=0.02)
            except Exception as error:
                return int(error.args[0])
            self.board.count(self.place)
        return code

    def send(self) -> int:
        """A plain message."""
        self.question()
        return self.call(_core.SEND, self.neighbour(), self.message)

    def receive(self) -> int:
        """From one neighbour or from anyone; a request is answered."""
        code = self.call(_core.RECEIVE, self.neighbour() if self.dice.random() < 0.3 else ANY, self.message)
        if code == 0 and self.message.is_request:
            self.read_question()
            return self.me.raw(_core.REPLY, self.message.source, self.make_answer(), 0)
        return code

    def notify(self) -> int:
        """A notification, with a value or without."""
        code = self.me.raw(_core.NOTIFY, self.neighbour(), None, 0, self.dice.choice([0, 1, 4]))
        self.board.count(self.place)
        return code

    def pass_on(self) -> int:
        """Take a request and let a neighbour answer it."""
        code = self.call(_core.RCVRQST, ANY, self.message)
        if code != 0:
            return code
        self.read_question()
        code = self.me.raw(_core.RELAY, self.neighbour(), self.message, 0)
        if code == 0:
            return 0
        return self.me.raw(_core.REPLY, self.message.source, self.make_answer(), 0)


def plain_error(code: int, *_: object) -> Exception:
    """The core's errors as plain exceptions that carry the code."""
    return RuntimeError(code)


def run(person: Callable[[], Person], complain_fd: int) -> int:
    """A process's whole life; what went wrong is told over a pipe."""
    _core.set_error_factory(plain_error)
    try:
        person().live()
    except BaseException as error:
        os.write(complain_fd, f"process {os.getpid()}: {error!r}\n".encode())
        return 1
    return 0
