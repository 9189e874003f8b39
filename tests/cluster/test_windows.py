"""Blocks that proxies have mapped: bytes go where the process has them now, and nothing stays mapped."""

import ctypes
import fcntl
import mmap
import os

import pytest

import drvs
from support.regions import wait_until
from support.two_nodes import Joined

SERVER = 5
NBYTES = 100_000
ROOM = 1 << 20
PROCMAP_QUERY = 0xC0686611


def can_be_asked() -> bool:
    """Whether this kernel says what a process has at an address (Linux 6.11)."""
    query = (ctypes.c_uint64 * 13)(104, 0, ctypes.addressof(ctypes.c_char.from_buffer(bytearray(1))))
    with open("/proc/self/maps") as maps:
        try:
            fcntl.ioctl(maps, PROCMAP_QUERY, query)
        except OSError:
            return False
    return True


needs_windows = pytest.mark.skipif(not can_be_asked(), reason="needs PROCMAP_QUERY (Linux 6.11)")


# ---- a process with memory of every kind ------------------------------------------------------------------------

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
MAP_FIXED = 0x10


def file(name: str, kind: str) -> int:
    """Shared memory, as `ep.block` makes it, or almost."""
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    if kind == "sparse":
        os.ftruncate(fd, ROOM)
    else:
        os.posix_fallocate(fd, 0, ROOM)
    if kind != "unsealed":
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return fd


def place(address: int | None, fd: int, protection: int = mmap.PROT_READ | mmap.PROT_WRITE) -> int:
    """Map a file, or private memory (-1), there or anywhere."""
    flags = (mmap.MAP_SHARED if fd >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) | (MAP_FIXED if address else 0)
    found = libc.mmap(address, ROOM, protection, flags, fd, 0)
    assert found not in (None, ctypes.c_void_p(-1).value), os.strerror(ctypes.get_errno())
    return int(found)


def change(address: int, kind: str) -> int:
    """Have something else at an address; the descriptor of it, -1: none."""
    if kind == "nothing":
        assert libc.munmap(address, ROOM) == 0
        return -1
    fd = -1 if kind == "private memory" else file("second", "a block")
    place(address, fd, mmap.PROT_READ if kind == "a block to be read" else mmap.PROT_READ | mmap.PROT_WRITE)
    return fd


def has(me, ep, first: str, second: str):
    """Tell where memory is, for two copies, with other memory there for the second; what is where in the end."""
    fd = file("first", first)
    address = place(None, fd)
    request = ep.receive_request()
    request.m2_l1 = address
    ep.reply_receive(request, request)
    new = change(address, second)
    ep.reply_receive(request, request)
    there = b"" if second == "nothing" else ctypes.string_at(address, NBYTES)
    ep.reply(request.source, request)
    return os.pread(fd, NBYTES, 0), there, os.pread(new, NBYTES, 0) if new >= 0 else b""


def fills(me, ep, heard: bool = False):
    """Copy there, twice; how the second went."""
    address = ep.sendrec(SERVER, drvs.Message(1), timeout=20).m2_l1
    with ep.block(NBYTES) as block:
        block.view[:] = b"1" * NBYTES
        ep.copy(block, (SERVER, address))
        if heard:
            me.say("copied")
            me.hear()
        ep.sendrec(SERVER, drvs.Message(1), timeout=20)
        block.view[:] = b"2" * NBYTES
        try:
            ep.copy(block, (SERVER, address))
            code = drvs.Code.OK
        except drvs.DrvsError as error:
            code = error.code
    ep.sendrec(SERVER, drvs.Message(1), timeout=20)
    return code


def mapped(pair: Joined, number: int) -> str:
    """What a node's proxies have mapped."""
    with open(f"/proc/{pair.proxies[number].pid}/maps") as maps:
        return maps.read()


# ---- tests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["another block", "private memory", "a block to be read", "nothing"])
def test_bytes_go_to_what_the_process_has_there_now(pair: Joined, second: str) -> None:
    server = pair.bound(1, SERVER, has, "a block", second)
    pair.known(0, SERVER)
    code = pair.bound(0, None, fills).result()
    was, there, new = server.result()
    assert was == b"1" * NBYTES, "what is not mapped there any more stays as it was"
    if second in ("nothing", "a block to be read"):
        assert code == drvs.Code.FAULT
        assert not any(there)
    else:
        assert code == drvs.Code.OK
        assert there == b"2" * NBYTES
        assert new == (there if second == "another block" else b"")


@needs_windows
def test_blocks_are_mapped_while_they_are_used(pair: Joined) -> None:
    server = pair.bound(1, SERVER, has, "a block", "another block")
    pair.known(0, SERVER)
    client = pair.bound(0, None, fills, True)
    client.wait_line("copied")
    assert "memfd:drvs-block" in mapped(pair, 0)
    assert "memfd:first" in mapped(pair, 1)
    wait_until(lambda: "memfd:drvs-block" not in mapped(pair, 0), "nobody uses it: it is let go of")
    wait_until(lambda: "memfd:first" not in mapped(pair, 1), "nobody uses it: it is let go of")
    client.tell("go on")
    assert client.result() == drvs.Code.OK
    assert server.result()[1] == b"2" * NBYTES


@needs_windows
@pytest.mark.parametrize("kind", ["unsealed", "sparse"])
def test_memory_that_may_be_missing_is_not_mapped(pair: Joined, kind: str) -> None:
    server = pair.bound(1, SERVER, has, kind, "another block")
    pair.known(0, SERVER)
    client = pair.bound(0, None, fills, True)
    client.wait_line("copied")
    assert "memfd:first" not in mapped(pair, 1)
    client.tell("go on")
    assert client.result() == drvs.Code.OK
    assert server.result()[0] == b"1" * NBYTES
