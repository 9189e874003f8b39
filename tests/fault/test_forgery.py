"""What a member writes into its region is not believed: noded signals and copies nothing on the region's word."""

import ctypes
import mmap
import os
import random
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from drvs.base.codes import Code
from drvs.core import Region, _core
from drvs.daemon.client import Client
from support import nodes
from support.children import Child, Me, spawn

SECRET = b"nobody may see this"
DEFACED = b"X" * len(SECRET)


class Vandal:
    """A member's view of its region, with the right to write everywhere: which every member has."""

    def __init__(self, client: Client, vmid: int) -> None:
        reply = client.call("bind", vmid=vmid)
        fd = reply.take_fd()
        self.region = Region(fd)
        self._bytes = mmap.mmap(fd, os.fstat(fd).st_size)
        os.close(fd)
        self.slot = int(reply["slot"])
        self.endpoint = _core.Endpoint(self.region, self.slot, reply["incarnation"], reply["endpoint"])

    def write(self, slot: int, field: str, value: int) -> None:
        """Overwrite one word of a slot."""
        offset = self.region.layout["slots"] + slot * _core.LAYOUT["slot_bytes"] + _core.LAYOUT[f"slot.{field}"]
        self._bytes[offset : offset + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")

    def damage(self, seed: int, words: int) -> None:
        """Overwrite random words of all tables, the lock included."""
        dice = random.Random(seed)
        for _ in range(words):
            offset = dice.randrange(len(self._bytes) // 4) * 4 if dice.random() < 0.5 else dice.randrange(16) * 4
            self._bytes[offset : offset + 4] = dice.choice([0, 1, 7, 2**32 - 1, dice.randrange(2**32)]).to_bytes(
                4, "little"
            )


def _stranger(me: Me) -> str:
    """A process that has nothing to do with the node, and a secret."""
    secret = ctypes.create_string_buffer(SECRET)
    me.say(ctypes.addressof(secret))
    me.hear(timeout=600)
    return secret.value.decode()


def _member(me: Me, runtime_dir: str, vmid: int) -> None:
    """A member that waits in a receive, and lets a SIGPIPE kill it."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    with Client(runtime_dir) as client:
        reply = client.call("bind", vmid=vmid)
        endpoint = _core.Endpoint(Region(reply.take_fd()), reply["slot"], reply["incarnation"], reply["endpoint"])
        me.say(f"{reply['slot']} {reply['endpoint']}")
        endpoint.raw(_core.RECEIVE, _core.ANY, _core.Message(), -1)
        me.hear()


@pytest.fixture
def stranger() -> Iterator[Child]:
    """It must live on, its memory untouched."""
    child = spawn(_stranger)
    child.address = int(child.wait_line())  # type: ignore[attr-defined]
    yield child
    assert child.alive
    child.tell()
    assert child.result() == SECRET.decode()


@pytest.fixture
def lab(node: nodes.RunningNode) -> Iterator[tuple[Client, int]]:
    """A client, and a VM."""
    with Client(node.runtime_dir) as client:
        yield client, int(client.call("vm_init", name="lab")["vmid"])


def start_member(node: nodes.RunningNode, vmid: int) -> tuple[Child, int, int]:
    """The process, its slot and its endpoint."""
    child = spawn(_member, str(node.runtime_dir), vmid)
    slot, endpoint = map(int, child.wait_line().split())
    return child, slot, endpoint


def test_a_forged_pid_gets_no_signal(node: nodes.RunningNode, lab: tuple[Client, int], stranger: Child) -> None:
    client, vmid = lab
    vandal = Vandal(client, vmid)
    child, slot, endpoint = start_member(node, vmid)
    for field in ("pid", "tid"):
        vandal.write(slot, field, stranger.pid)
    client.call("unbind", vmid=vmid, endpoint=endpoint, timeout_ms=5000, check=False)
    assert child.wait() == -signal.SIGPIPE


def test_the_end_of_a_vm_signals_only_its_processes(
    node: nodes.RunningNode, lab: tuple[Client, int], stranger: Child
) -> None:
    client, vmid = lab
    vandal = Vandal(client, vmid)
    children = [start_member(node, vmid) for _ in range(3)]
    for slot in range(vandal.region.members):
        vandal.write(slot, "pid", stranger.pid)
        vandal.write(slot, "tid", stranger.pid)
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    client.call("vm_end", vmid=vmid)
    for child, _, _ in children:
        assert child.wait() == -signal.SIGPIPE
    signal.signal(signal.SIGPIPE, before)


def test_a_copy_goes_to_no_forged_process(node: nodes.RunningNode, lab: tuple[Client, int], stranger: Child) -> None:
    client, vmid = lab
    vandal = Vandal(client, vmid)
    _, slot, endpoint = start_member(node, vmid)
    wait_until_it_receives(vandal.region, slot)
    vandal.write(slot, "pid", stranger.pid)
    buffer = ctypes.create_string_buffer(DEFACED)
    here, there, n = ctypes.addressof(buffer), stranger.address, len(SECRET)  # type: ignore[attr-defined]
    _core.set_error_factory(lambda code, *_: RuntimeError(code))
    for copy in ((_core.SELF, here, endpoint, there), (endpoint, there, _core.SELF, here)):
        with pytest.raises(RuntimeError) as refused:
            vandal.endpoint.copy_raw(*copy, n)
        assert refused.value.args[0] == Code.BADPID
    assert buffer.value == DEFACED
    own = {"src_slot": vandal.slot, "src_address": here, "dst_slot": slot, "dst_address": there, "bytes": n}
    client.call("copy", vmid=vmid, check=False, **own)  # noded asks its own table: the member's memory, or a refusal
    vandal.endpoint.close()


def wait_until_it_receives(region: Region, slot: int) -> None:
    """Until the member is blocked."""
    while not region.snapshot(slot)["rts"]:  # type: ignore[call-overload,index]
        os.sched_yield()


def answers(client: Client, vmid: int) -> dict[str, Any]:
    """A status that comes in time, whatever has become of the damaged VM."""
    return dict(client.call("status", timeout=20).fields)


@pytest.mark.parametrize("seed", range(6))
def test_noded_outlives_a_damaged_region(
    node: nodes.RunningNode, lab: tuple[Client, int], stranger: Child, seed: int
) -> None:
    client, vmid = lab
    quiet = int(client.call("vm_init", name="quiet")["vmid"])
    vandal = Vandal(client, vmid)
    pid = node.noded_pid
    members = [start_member(node, vmid) for _ in range(4)]
    neighbour, _, endpoint = start_member(node, quiet)
    for step in range(15):
        vandal.damage(seed * 100 + step, 6)
        if step % 4 == 0:
            members[step // 4][0].kill()
        answers(client, vmid)
        client.call("bind", vmid=vmid, check=False, region=False, timeout=20)
    assert node.noded_pid == pid
    assert client.call("notify", vmid=quiet, as_p_nr=-1, dst=endpoint, value=0, check=False).code == 0
    assert neighbour.alive
