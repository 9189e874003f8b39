"""A VM as noded holds it: its region, who is bound in it by noded's own book, and which slots are free.

Every operation on the region has a lock timeout. A VM whose lock did not come in time is *suspect*: from then on it
gets next to no time until the lock comes again, so that a stopped or hostile member costs the other VMs a moment,
once.
"""

import fcntl
import heapq
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from drvs.base import limits
from drvs.base.codes import Code
from drvs.base.flags import VmState
from drvs.core._core import LAYOUT, Region
from drvs.daemon.refusal import Refused

if TYPE_CHECKING:
    from drvs.daemon.bindings import Binding

F_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class VmLimits(NamedTuple):
    """The size of a VM."""

    nr_procs: int
    nr_tasks: int
    nr_sysprocs: int
    notes: int
    copy_len_max: int
    copy_buf: int
    nr_nodes: int
    nr_proxies: int


class Burial(NamedTuple):
    """An unbinding that waits for a suspect VM's lock."""

    slot: int
    incarnation: int
    name: str


class Vm:
    """One VM of this node."""

    def __init__(
        self, vmid: int, serial: int, name: str, node: int, nodes: int, size: VmLimits, region: Region, fd: int,
        bell: int,
    ) -> None:  # fmt: skip
        self.vmid = vmid
        self.serial = serial
        self.name = name
        self.node = node
        self.nodes = nodes
        self.span: list[int] = []  # nodes that it is meant to run on, for the proxies
        self.limits = size
        self.region = region
        self.fd = fd
        self.bell = bell  # the doorbell: counts up when there is work for a proxy that sleeps
        self.state = VmState.RUNNING
        self.bound: dict[int, Binding] = {}
        self.names: dict[str, Binding] = {}
        self.mirror_names: dict[str, int] = {}  # of processes of other nodes, by endpoint; see mirrors.py
        self.closing: set[int] = set()  # slots whose unbinding has not ended
        self.burials: deque[Burial] = deque()
        self.when_free: list[Callable[[], None]] = []  # what waits for a stuck lock besides burials
        self.damaged = False  # an operation found a contradiction: the watchdog looks into it
        self.suspect = False
        self._stripe = 0, 1
        self._next_free = self.first_user_slot
        self._freed: list[int] = []

    @property
    def running(self) -> bool:
        """Whether processes may be bound into it."""
        return self.state is VmState.RUNNING

    @property
    def first_user_slot(self) -> int:
        """The first slot that is not a system slot."""
        return max(self.limits.nr_sysprocs, self.limits.nr_tasks)

    @property
    def members(self) -> int:
        """How many slots can be bound."""
        return self.limits.nr_procs + self.limits.nr_tasks

    @property
    def lock_ms(self) -> int:
        """How long noded may wait for this VM's lock now."""
        return limits.SUSPECT_LOCK_MS if self.suspect else limits.NODED_LOCK_MS

    def text(self) -> str:
        """How noded's log names it."""
        return f"VM {self.vmid} ({self.name!r})"

    # ---- slots -------------------------------------------------------------------------------------------------

    def slot_of(self, p_nr: int) -> int:
        """Return the slot of a process number.

        Raises:
            Refused: RANGE, it is none of this VM's.
        """
        slot = p_nr + self.limits.nr_tasks
        if not 0 <= slot < self.members:
            low, high = -self.limits.nr_tasks, self.limits.nr_procs - 1
            raise Refused(Code.RANGE, f"process number {p_nr} is not in {low}…{high}, the range of {self.text()}")
        return slot

    def use_stripe(self, index: int, count: int) -> None:
        """Let `take_free_slot` choose every `count`-th user slot only, from the `index`-th on.

        Nodes that have stripes of their own never choose the same slot, so that endpoints are unique in the cluster.
        """
        self._stripe = index, count
        self._next_free = self.first_user_slot + index

    def is_free(self, slot: int) -> bool:
        """Say whether nobody is bound there, by noded's own book."""
        return slot not in self.bound and slot not in self.closing

    def take_free_slot(self) -> int:
        """Return the lowest free user slot.

        Raises:
            Refused: BUSY, all are bound.
        """
        while self._freed:
            slot = heapq.heappop(self._freed)
            if self.is_free(slot):
                return slot
        while self._next_free < self.members:
            slot = self._next_free
            self._next_free += self._stripe[1]
            if self.is_free(slot):
                return slot
        of_stripe = f" of stripe {self._stripe[0]}" if self._stripe[1] > 1 else ""
        mine = len(range(self.first_user_slot + self._stripe[0], self.members, self._stripe[1]))
        raise Refused(Code.BUSY, f"all {mine} user slots{of_stripe} of {self.text()} are bound")

    def give_back_slot(self, slot: int) -> None:
        """Make a slot available to `take_free_slot`."""
        index, count = self._stripe
        if self.first_user_slot <= slot < self._next_free and (slot - self.first_user_slot) % count == index:
            heapq.heappush(self._freed, slot)

    def find(self, endpoint: int) -> "Binding | None":
        """Return who is bound to an endpoint now, by noded's own book."""
        slot = self.region.decode(endpoint) if -(1 << 31) <= endpoint < 1 << 31 else None
        binding = None if slot is None else self.bound.get(slot)
        return binding if binding is not None and binding.endpoint == endpoint else None

    def judge(self, code: int) -> int:
        """Learn from a region operation's code: a lock that did not come makes the VM suspect, any other clears it."""
        self.suspect = code == Code.TIMEDOUT
        self.damaged = self.damaged or code in (Code.BADVMID, Code.BADPROC)
        return code

    def check(self, code: int) -> None:
        """Do the same, and turn an error into an answer.

        Raises:
            Refused: by the code.
        """
        if self.judge(code) >= 0:
            return
        if code == Code.TIMEDOUT:
            raise Refused(code, f"the lock of {self.text()} is held: `drvs status` names a stopped holder")
        raise Refused(code)

    def snapshot(self, slot: int) -> dict[str, Any]:
        """Return a consistent copy of a slot.

        Raises:
            Refused: TIMEDOUT, the lock did not come.
        """
        found = self.region.snapshot(slot, lock_ms=self.lock_ms)
        if isinstance(found, int):
            self.check(found)
            raise Refused(Code.BADVMID)
        self.suspect = False
        return found

    # ---- life --------------------------------------------------------------------------------------------------

    def end(self, state: VmState) -> None:
        """Tell everyone in it that it is over, lock or no lock."""
        self.state = state
        self.region.end(int(state))

    def close(self) -> None:
        """Give back the descriptors; the mapping goes with the region."""
        if self.fd >= 0:
            os.close(self.fd)
            os.close(self.bell)
            self.fd = self.bell = -1

    def in_order(self) -> "Iterator[Binding]":
        """Iterate over the bound slots, lowest first."""
        for slot in sorted(self.bound):
            yield self.bound[slot]


def make_bell() -> int:
    """Make the doorbell of a VM: an eventfd that nobody needs to read, for it wakes by its edges.

    Raises:
        Refused: NOMEM.
    """
    try:
        return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    except OSError as error:
        raise Refused(Code.NOMEM, f"no eventfd could be made for the VM: {error.strerror}") from None


def make_region(
    vmid: int, node: int, name: str, owner_uid: int, size: VmLimits, bell: int = -1, generation: int = 0
) -> tuple[int, Region]:
    """Make the shared memory of a VM: wholly allocated, sealed against truncation.

    Args:
        vmid, node, name, owner_uid, size: of the VM.
        bell: its doorbell.
        generation: what the generations of its endpoints begin above.

    Raises:
        Refused: RANGE for limits that no VM can have, NOMEM if the memory is not there.
    """
    try:
        fd = os.memfd_create(f"drvs-vm{vmid}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise Refused(Code.NOMEM, f"no memory file could be made for the VM: {error.strerror}") from None
    try:
        _allocate(fd, size)
        Region.format(
            fd, vmid=vmid, node=node, owner_uid=owner_uid, name=name, generation=generation, **size._asdict()
        )  # fmt: skip
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, F_SEALS)
        return fd, Region(fd, doorbell=bell)
    except BaseException:
        os.close(fd)
        raise


def _allocate(fd: int, size: VmLimits) -> None:
    try:
        needed = Region.bytes_for(**size._asdict())
    except (ValueError, OverflowError) as error:
        raise Refused(Code.RANGE, str(error)) from None
    available = memory_available()
    if available is not None and needed > available:
        raise Refused(Code.NOMEM, f"the VM takes {needed >> 20} MiB, {available >> 20} MiB are available")
    try:
        os.posix_fallocate(fd, 0, needed)
    except OSError as error:
        raise Refused(Code.NOMEM, f"the VM takes {needed >> 20} MiB of memory: {error.strerror}") from None


def memory_available() -> int | None:
    """Return the bytes that this host can still give, None where it does not say.

    Asked before allocating, because a cgroup's limit ends in the OOM killer and not in an error.
    """
    try:
        with open("/proc/meminfo") as file:
            host = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
    return min([host, *_cgroup_room()])


def _cgroup_room() -> Iterator[int]:
    try:
        with open("/proc/self/cgroup") as file:
            group = next((line[3:].strip() for line in file if line.startswith("0::")), "/")
        while True:
            folder = "/sys/fs/cgroup" + group.rstrip("/")
            if os.path.exists(f"{folder}/memory.max"):
                with open(f"{folder}/memory.max") as top, open(f"{folder}/memory.current") as now:
                    most = top.read().strip()
                    if most != "max":
                        yield max(0, int(most) - int(now.read()))
            if group in ("", "/"):
                return
            group = os.path.dirname(group)
    except OSError:
        return


def stop_unreadable(fd: int) -> None:
    """End a VM whose region is too damaged to be attached: its members see the state when they next look."""
    os.pwrite(fd, int(VmState.CORRUPT).to_bytes(4, "little"), LAYOUT["header.state"])
