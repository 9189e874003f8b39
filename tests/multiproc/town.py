"""A VM full of processes, and the one who binds, kills and buries them: what noded does, in the test's own hands."""

from __future__ import annotations

import os
import random
import select
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drvs.core import Region
from multiproc.people import LATE_S, Board, Person, run
from support import procfs
from support.regions import make_region

FIRST_SLOT = 96
LOST_AFTER_S = 0.4
"""How long one may sleep after the end of his wait: sleepers look again by themselves after a second."""
HOME_S = 10.0
NUDGE_AFTER_S = 0.3


@dataclass
class Inhabitant:
    """One process, as its undertaker knows it."""

    place: int
    slot: int
    pid: int
    pidfd: int
    incarnation: int


class Town:
    """`size` processes that talk with each other; `seed` decides what they do and who dies."""

    def __init__(self, size: int, seed: int, *, timed: bool = False) -> None:
        self.size, self.seed, self.timed = size, seed, timed
        self.dice = random.Random(seed)
        self.region: Region = make_region(vmid=1, node=0, name="town", notes=32)
        self.board = Board(size)
        self.complaints_fd, self._complain_fd = os.pipe()
        self.people: list[Inhabitant] = []
        self.births = 0

    # ---- births and deaths ----------------------------------------------------------------------------------------

    def populate(self) -> None:
        """Everyone moves in."""
        self.people = [self.born(place) for place in range(self.size)]

    def born(self, place: int) -> Inhabitant:
        """Somebody new moves in at a place."""
        self.births += 1
        slot, seed, timed = FIRST_SLOT + place, self.seed * 1000003 + self.births, self.timed
        ticket_fd, give_fd = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = self._life(ticket_fd, give_fd, slot, place, seed, timed)
            finally:
                os._exit(status)
        os.close(ticket_fd)
        pidfd = os.pidfd_open(pid)
        code, endpoint, incarnation = self.region.bind(slot, pid, pid, 0, 0, 0, f"p{place}")
        assert code == 0, code
        self.board.move_in(place, endpoint)
        os.write(give_fd, struct.pack("<Ii", incarnation, endpoint))
        os.close(give_fd)
        return Inhabitant(place, slot, pid, pidfd, incarnation)

    def _life(self, ticket_fd: int, give_fd: int, slot: int, place: int, seed: int, timed: bool) -> int:
        procfs.prctl(procfs.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.close(give_fd)
        ticket = os.read(ticket_fd, 8)
        if len(ticket) != 8:
            return 1
        incarnation, endpoint = struct.unpack("<Ii", ticket)
        return run(
            lambda: Person(self.region, slot, incarnation, endpoint, place, self.board, seed, timed), self._complain_fd
        )

    def kill_one(self) -> None:
        """Somebody dies, is buried and replaced."""
        who = self.dice.choice(self.people)
        signal.pidfd_send_signal(who.pidfd, signal.SIGKILL)
        self.bury(who)
        self.people[who.place] = self.born(who.place)

    def bury(self, who: Inhabitant) -> None:
        """What the undertaker owes to the dead."""
        os.waitpid(who.pid, 0)
        os.close(who.pidfd)
        self.region.pay_debts(who.slot)
        code = self.region.unbind(who.slot, who.incarnation, force=True)
        assert code == 0, f"unbind of slot {who.slot}: {code}"

    # ---- watching -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Nobody complains, the tables are sound."""
        assert not select.select([self.complaints_fd], [], [], 0)[0], os.read(self.complaints_fd, 65536).decode()
        assert self.region.audit() == []

    def oversleepers(self) -> list[Inhabitant]:
        """Those who sleep though their wait is over, at this moment: they may be about to get up."""
        return [who for who in self.people if self._oversleeps(who) is not None]

    def _oversleeps(self, who: Inhabitant) -> tuple[int, int] | None:
        snapshot = self.region.snapshot(who.slot)
        if (
            not isinstance(snapshot, dict)
            or not snapshot["waiting"]
            or snapshot["rts_all"]
            or snapshot["incarnation"] != who.incarnation
        ):
            return None
        asleep = procfs.state_and_parent(who.pid)[0] == "S"
        return (snapshot["seq"], self.board.calls(who.place)) if asleep else None

    def find_lost_wakeups(self) -> None:
        """The watchdog: nobody stays asleep over the end of his wait."""
        suspects = {who.pid: self._oversleeps(who) for who in self.oversleepers()}
        if not suspects:
            return
        deadline = time.monotonic() + LOST_AFTER_S
        for who in self.people:
            state = suspects.get(who.pid)
            while state is not None and self._oversleeps(who) == state:
                assert time.monotonic() < deadline, f"a wake-up of slot {who.slot} was lost (seed {self.seed})"
                os.sched_yield()

    def total_calls(self) -> int:
        """Of everyone who lives now."""
        return sum(self.board.calls(place) for place in range(self.size))

    def wait_for_calls(self, more: int, patience_s: float = 60.0) -> None:
        """Until that many calls more have been made. Should all wait to hear from somebody, they are woken up."""
        target, deadline = self.total_calls() + more, time.monotonic() + patience_s
        nudge = time.monotonic() + NUDGE_AFTER_S
        while self.total_calls() < target:
            now = time.monotonic()
            assert now < deadline, f"the town has come to a standstill (seed {self.seed})"
            if now > nudge:
                nudge = now + NUDGE_AFTER_S
                for who in self.people:
                    self.region.wakeup(self.board.endpoint(who.place))
            os.sched_yield()

    def check_lateness(self) -> None:
        """No timed call came back much after its deadline."""
        worst = max(self.board.worst_lateness(place) for place in range(self.size))
        assert worst < LATE_S, f"a timed call came back {worst:.3f} s late (seed {self.seed})"

    # ---- the end --------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The VM ends, and everyone comes home by himself, with nothing to complain of."""
        self.region.end(2)
        deadline = time.monotonic() + HOME_S
        for who in self.people:
            home = select.select([who.pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert home, f"process {who.pid} in slot {who.slot} outlived its VM:\n{procfs.stacks(who.pid)}"
            status = os.waitstatus_to_exitcode(os.waitpid(who.pid, 0)[1])
            os.close(who.pidfd)
            assert status == 0, f"process {who.pid} ended with {status}: {self.complaints()}"
        self.people = []

    def complaints(self) -> str:
        """What has been told so far."""
        return os.read(self.complaints_fd, 65536).decode() if select.select([self.complaints_fd], [], [], 0)[0] else ""

    def abandon(self) -> None:
        """Kill whoever is left, whatever happened."""
        for who in self.people:
            signal.pidfd_send_signal(who.pidfd, signal.SIGKILL)
            os.waitpid(who.pid, 0)
            os.close(who.pidfd)
        for fd in (self.complaints_fd, self._complain_fd):
            os.close(fd)
        self.board.close()


@contextmanager
def town(size: int, seed: int, *, timed: bool = False) -> Iterator[Town]:
    """A populated town, left clean."""
    place = Town(size, seed, timed=timed)
    try:
        place.populate()
        yield place
    finally:
        place.abandon()
