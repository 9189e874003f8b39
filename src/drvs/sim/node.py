"""One node: its regions, its noded, its proxies, its processes; and what becomes of them when it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drvs.cluster.session import Ended, Event
from drvs.daemon.vm import VmLimits
from drvs.sim.dice import between, dice
from drvs.sim.noded import Noded
from drvs.sim.process import Process
from drvs.sim.proxies import SimProxies
from drvs.sim.space import NR_SYSPROCS, NR_TASKS, Space
from drvs.sim.violation import Violation

if TYPE_CHECKING:
    from drvs.sim.world import World

PROXIES_SLOTS = 1


#: Between those that the VMs of two lives begin above.
GENERATIONS = 1000


class Node:
    """A node, through all its lives."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.dice = dice(world.seed, "node", number)
        #: Counts the lives of the node, and of its proxies.
        self.lives = self.proxies_lives = 0
        self.up = False
        self.spaces: dict[int, Space] = {}
        self.proxies: SimProxies | None = None
        self.noded: Noded
        #: Until when its proxies get no CPU.
        self.stalled_until = 0.0
        self._turn_due = False
        self._timer_at = float("inf")

    def note(self, text: str, *args: Any) -> None:
        """Keep a line of the trace."""
        self.world.trace.note(self.world.agenda.now, self.number, text, *args)

    # ---- life ----

    def boot(self) -> None:
        """Come to life, with nothing but the VMs that the node is to have."""
        world = self.world
        self.up = True
        self.lives += 1
        self.note("up")
        for vmid, span in world.vms_of(self.number):
            self.spaces[vmid] = Space(
                vmid, world.serial(), self.number, span, world.size_of(span), world.bell, self.wake_proxies,
                GENERATIONS * (self.lives - 1),
            )  # fmt: skip
        self.noded = Noded(self.number, world.options.nodes, self.spaces, self._link_changed)
        self.start_proxies()
        for vmid in self.spaces:
            for index in range(world.options.processes):
                self.bear(vmid, index)

    def fall(self, *, silently: bool) -> None:
        """Die; `silently`: its machine, too."""
        self.note("down, %s", "silently" if silently else "its machine lives")
        self.up = False
        self.kill_proxies(answers=not silently)
        for space in self.spaces.values():
            for process in [*space.names.values()]:
                process.over()
            space.close()
        self.spaces.clear()

    # ---- processes ----

    def bear(self, vmid: int, index: int) -> Process | None:
        """Bind a process, unless there is one."""
        space = self.spaces.get(vmid)
        name = self.world.name(self.number, vmid, index)
        if space is None or name in space.names:
            return None
        slot = max(NR_SYSPROCS, NR_TASKS) + space.span.index(self.number) * self.world.options.processes + index
        process = Process(self, space, slot, name)
        self.noded.tell_bound(vmid, process.endpoint, name)
        self.note("%s born as %d", name, process.endpoint)
        self.wake_proxies()
        return process

    def bury(self, process: Process) -> None:
        """A process has died: noded unbinds it."""
        space = process.space
        process.over()
        code = space.region.unbind(process.slot, process.incarnation, force=True)
        if code:
            raise Violation(f"{process.name} could not be unbound: {code}")
        space.region.pay_debts(process.slot)
        space.vm.bound.pop(process.slot, None)
        self.noded.tell_unbound(space.vmid, process.endpoint, process.incarnation)
        self.note("%s died", process.name)
        space.look()
        self.wake_proxies()

    # ---- proxies ----

    def start_proxies(self) -> None:
        """Start them."""
        world = self.world
        self.proxies_lives += 1
        self.note("proxies up")
        host = world.network.join(self.number, self.wake_proxies)
        self.proxies = SimProxies(self.noded, host, world.options, self.proxies_lives, self.note, self._hears)
        self._turn_due, self._timer_at = False, float("inf")
        self.proxies.begin(world.peers_of(self.number))
        self.wake_proxies()

    def kill_proxies(self, *, answers: bool = True) -> None:
        """Kill them; `answers`: their machine lives."""
        if self.proxies is None:
            return
        self.world.network.hosts[self.number].die(answers=answers)
        self.proxies = None
        self.note("proxies down")
        for space in self.spaces.values():
            space.disarmed()
        if answers and self.up:
            self.noded.lose_proxies()
            for space in self.spaces.values():
                space.look()

    def wake_proxies(self) -> None:
        """They have something to do."""
        self.world.restless[self] = None
        if self._turn_due or self.proxies is None:
            return
        self._turn_due = True
        agenda = self.world.agenda
        when = agenda.now + between(self.dice, self.world.options.service_s)
        agenda.react(max(when, self.stalled_until), self._turn, self.proxies_lives)

    def go_on(self) -> None:
        """They are stalled no longer: a turn that was put off is due."""
        self.stalled_until = 0.0
        if self._turn_due:
            self._turn_due = False
            self.wake_proxies()

    def _turn(self, life: int) -> None:
        proxies, agenda = self.proxies, self.world.agenda
        if proxies is None or life != self.proxies_lives:
            return
        self._turn_due = False
        if agenda.now < self.stalled_until:
            self.wake_proxies()
            return
        busy = proxies.turn(agenda.now)
        touched = proxies.have_touched()
        for space in self.spaces.values():
            if not busy:
                space.armed()
            if touched:
                space.look()
        if busy:
            self.wake_proxies()
        self._set_timer(proxies.deadline)

    def _set_timer(self, deadline: float) -> None:
        if deadline < self._timer_at:
            self._timer_at = deadline
            self.world.agenda.react(deadline, self._timer, self.proxies_lives, deadline)

    def _timer(self, life: int, when: float) -> None:
        if life != self.proxies_lives or when != self._timer_at:
            return
        self._timer_at = float("inf")
        proxies = self.proxies
        if self._turn_due or proxies is None:
            return
        if when >= self.stalled_until and proxies.tick(when):
            self.world.restless[self] = None
            self._set_timer(proxies.deadline)
        else:
            self._turn(life)

    def _hears(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.world.history.session_ended(self.number, event.node)

    def _link_changed(self, other: int) -> None:
        self.world.history.link_changed(self.number, other)


def size_for(nodes: int, options: Any, span: int) -> VmLimits:
    """Return the size of a VM that spans so many nodes."""
    nr_procs = NR_SYSPROCS - NR_TASKS + span * options.processes
    return VmLimits(
        nr_procs=nr_procs, nr_tasks=NR_TASKS, nr_sysprocs=NR_SYSPROCS, notes=options.notes, copy_len_max=1 << 20,
        copy_buf=options.copy_buf, nr_nodes=nodes, nr_proxies=PROXIES_SLOTS,
    )  # fmt: skip
