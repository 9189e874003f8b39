"""Locks that are stuck: stopped holders are named, vandals' words are broken, damage ends the VM, others go on."""

import os
import signal
import struct
import time
from pathlib import Path

import pytest

from drvs.base.codes import Code
from drvs.base.flags import VmState
from drvs.core import LAYOUT
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn

from daemon.helpers import bind, end, holder_program, refused, wait_until

LOCK, EPOCH = LAYOUT["header.lock"], LAYOUT["header.epoch"]


@pytest.fixture
def watched(runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch):
    """A node whose watchdog looks often, with VMs 0 and 1; yields (client, descriptor of VM 0's region)."""
    monkeypatch.setenv("DRVS_LIMITS", "tick_ms=50,look_again_ms=20,lock_cpu_ms=50")
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        client.call("vm_init", name="other")
        with client.call("bind", vmid=0, p_nr=1) as reply:
            yield client, reply.fds[0]
    end(running)


def _seize(fd: int, tid: int) -> None:
    """Write a holder into the lock word, as a vandal or an interrupted transition would."""
    os.pwrite(fd, struct.pack("<I", tid), LOCK)


def _lock_word(fd: int) -> int:
    return int(struct.unpack("<I", os.pread(fd, 4, LOCK))[0]) & 0x3FFFFFFF


def test_a_word_that_names_nobody_is_broken_and_the_vm_goes_on(watched) -> None:
    client, fd = watched
    _seize(fd, (1 << 22) - 3)
    wait_until(lambda: _lock_word(fd) == 0, "the lock is free")
    bind(client, 0, p_nr=2)
    assert client.call("audit", vmid=0)["findings"] == []


def test_a_word_that_names_a_stranger_is_broken(watched) -> None:
    client, fd = watched
    stranger = spawn(lambda me: me.hear())
    _seize(fd, stranger.pid)
    wait_until(lambda: _lock_word(fd) == 0, "the lock is free")
    assert "which is not bound there" in "\n".join(client.call("log")["lines"])
    bind(client, 0, p_nr=2)


def test_a_member_that_sleeps_cannot_be_in_a_transition(watched, runtime_dir: Path) -> None:
    client, fd = watched
    member = spawn(holder_program, str(runtime_dir), 0, 5)
    member.wait_line("5")
    _seize(fd, member.pid)
    wait_until(lambda: _lock_word(fd) == 0, "the lock is free")
    assert "which sleeps" in "\n".join(client.call("log")["lines"])


def test_a_member_that_computes_on_and_on_is_not_in_one_either(watched, runtime_dir: Path) -> None:
    client, fd = watched
    member = spawn(_computes, str(runtime_dir))
    member.wait_line("computing")
    _seize(fd, member.pid)
    wait_until(lambda: _lock_word(fd) == 0, "the lock is free")
    assert "which computes" in "\n".join(client.call("log")["lines"])


def _computes(me, runtime_dir: str) -> None:
    with Client(runtime_dir) as client:
        bind(client, 0, p_nr=5)
    me.say("computing")
    while True:
        pass


def test_a_stopped_member_is_named_and_left_alone(watched, runtime_dir: Path) -> None:
    client, fd = watched
    member = spawn(holder_program, str(runtime_dir), 0, 5)
    member.wait_line("5")
    member.stop()
    _seize(fd, member.pid)
    wait_until(lambda: client.call("holders")["holders"], "it is named")
    (holder,) = client.call("status")["holders"]
    assert (holder["pid"], holder["vm_name"], holder["state"]) == (member.pid, "lab", "T")
    assert _lock_word(fd) == member.pid
    started = time.monotonic()
    assert "is held" in refused(client, Code.TIMEDOUT, "bind", vmid=0, p_nr=9)
    bind(client, 1, p_nr=9)  # the other VM notices nothing
    assert time.monotonic() - started < 5
    os.pwrite(fd, struct.pack("<I", 0), LOCK)  # as if the holder went on
    member.resume()
    wait_until(lambda: not client.call("holders")["holders"], "it is not named any more")
    bind(client, 0, p_nr=9)


def test_the_dead_of_a_stuck_vm_are_buried_when_it_goes_on(watched, runtime_dir: Path) -> None:
    client, fd = watched
    member = spawn(holder_program, str(runtime_dir), 0, 5)
    member.wait_line("5")
    mortal = spawn(holder_program, str(runtime_dir), 0, 6)
    mortal.wait_line("6")
    member.stop()
    _seize(fd, member.pid)
    mortal.kill()
    client.call("wait4unbind", vmid=0, endpoint=6, timeout_ms=20_000)
    refused(client, Code.BUSY, "bind", vmid=0, p_nr=6)  # not before it is buried
    os.pwrite(fd, struct.pack("<I", 0), LOCK)
    wait_until(lambda: client.call("bind", vmid=0, p_nr=6, region=False, check=False).code == 0, "its slot is free")
    assert client.call("audit", vmid=0)["findings"] == []
    member.send_signal(signal.SIGCONT)


def test_a_damaged_vm_is_stopped_and_the_others_go_on(watched) -> None:
    client, fd = watched
    slots = 4096
    os.pwrite(fd, struct.pack("<I", 0x12345), slots + 68 * LAYOUT["slot_bytes"] + LAYOUT["slot.senders_head"])
    _seize(fd, 1)
    wait_until(lambda: client.call("getvminfo", vmid=0)["flags"] == VmState.CORRUPT, "it is declared corrupt")
    assert "damaged" in refused(client, Code.VMNOTRUN, "bind", vmid=0, p_nr=9)
    bind(client, 1, p_nr=9)
    client.call("vm_end", vmid=0)
    client.call("vm_init", vmid=0, name="lab")
    bind(client, 0, p_nr=9)


def test_a_noded_that_finds_a_header_it_cannot_read_gives_the_vm_up(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        client.call("vm_init", name="other")
        with client.call("bind", vmid=0, p_nr=1) as reply:
            os.pwrite(reply.fds[0], struct.pack("<I", 7), LAYOUT["header.version"])
            running.kill()
            running.restart()
            assert [vm["name"] for vm in client.call("vm_list")["vms"]] == ["other"]
            assert "another version" in "\n".join(client.call("log")["lines"])
            assert struct.unpack("<I", os.pread(reply.fds[0], 4, LAYOUT["header.state"]))[0] == VmState.CORRUPT
    end(running)


def test_a_noded_that_finds_a_vm_stuck_serves_the_others_at_once(
    runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRVS_LIMITS", "tick_ms=50,look_again_ms=20")
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        client.call("vm_init", name="other")
        members = [spawn(holder_program, str(runtime_dir), 0) for _ in range(20)]
        endpoints = [int(member.wait_line()) for member in members]
        with client.call("bind", vmid=0, p_nr=1) as reply:
            members[0].stop()
            _seize(reply.fds[0], members[0].pid)
            running.kill()
            members[1].kill()
            running.restart()
            bind(client, 1)
            wait_until(lambda: client.call("holders")["holders"], "the holder is named")
            os.pwrite(reply.fds[0], struct.pack("<I", 0), LOCK)
        client.call("wait4unbind", vmid=0, endpoint=endpoints[1], timeout_ms=20_000)
        wait_until(lambda: not client.call("getvminfo", vmid=0)["suspect"], "the VM is trusted again")
        assert client.call("audit", vmid=0)["findings"] == []
        assert len(client.call("procs", vmid=0)["procs"]) == 20
    end(running)
