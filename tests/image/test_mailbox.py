"""The mailbox between a process and its dumper: who dies, lies or comes second does no harm."""

import contextlib
import os
import random
import select
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drvs.core import _core
from drvs.procspace import image
from drvs.procspace.image import mailbox
from drvs.procspace.image.format import check_sense
from support import images

SOURCE = """
import sys, drvs.hooks
drvs.hooks.before_dump(lambda: print('before', flush=True))
print('ready', flush=True)
for line in sys.stdin: print(line, end='', flush=True)
"""


@pytest.fixture
def program(nothing_left: None) -> Iterator[images.Program]:
    """A program with a hook that says so."""
    with images.python(SOURCE) as running:
        assert running.line() == "ready"
        yield running


@pytest.fixture
def memory(program: images.Program) -> Iterator[int]:
    """Its memory."""
    fd = os.open(f"/proc/{program.pid}/mem", os.O_RDWR)
    yield fd
    os.close(fd)


def await_state(memory: int, address: int, wanted: int) -> mailbox.Letter:
    """Look until the mailbox is in a state."""
    while (letter := mailbox.read(memory, address)).state != wanted:
        os.sched_yield()
    return letter


def test_its_layout_is_that_of_c() -> None:
    _, offset = _core.mailbox_place()
    assert offset == mailbox._INFO_AT


def test_a_process_waits_after_its_hooks_and_goes_on_by_the_verdict(program: images.Program, memory: int) -> None:
    address = mailbox.find(program.pid)
    ticket = mailbox.prepare(program.pid, address, 10)
    assert program.line() == "before"
    mailbox.check_ready(memory, address, ticket)
    assert program.process.stdin is not None
    program.process.stdin.write(b"hello\n")
    assert not select.select([program.process.stdout], [], [], 0.1)[0]
    mailbox.store_verdict(memory, address, mailbox.GOES_ON, 4711)
    assert program.line() == "hello"
    assert await_state(memory, address, mailbox.IDLE).rounds == 1


def ask_and_die(program: images.Program, how: int, when: float) -> int:
    """Ask for the hooks in a forked child that is ended by a signal some time after."""
    child = os.fork()
    if not child:
        try:
            mailbox.prepare(program.pid, mailbox.find(program.pid), 10)
            signal.pause()
        finally:
            os._exit(0)
    select.select([], [], [], when)
    os.kill(child, how)
    return child


@pytest.mark.parametrize("waited_for", [True, False], ids=["collected", "zombie"])
def test_a_process_whose_dumper_died_goes_on_within_a_second(
    program: images.Program, memory: int, waited_for: bool
) -> None:
    chosen = random.Random(11)
    address = mailbox.find(program.pid)
    for turn in range(8):
        child = ask_and_die(program, signal.SIGKILL, chosen.random() * 0.03)
        if waited_for:
            os.waitpid(child, 0)
        assert program.process.stdin is not None
        program.process.stdin.write(f"{turn}\n".encode())
        readable, _, _ = select.select([program.process.stdout], [], [], 1.0)
        assert readable, "it stands still for more than a second"
        while program.line() != str(turn):
            pass
        await_state(memory, address, mailbox.IDLE)
        if not waited_for:
            os.waitpid(child, 0)


def test_a_dumper_that_gives_up_lets_the_process_go_on(program: images.Program, memory: int, tmp_path: Path) -> None:
    os.kill(program.pid, signal.SIGSTOP)
    address = mailbox.find(program.pid)
    with pytest.raises(image.Refused, match="within"):
        mailbox.prepare(program.pid, address, 0.05)
    os.kill(program.pid, signal.SIGCONT)
    assert program.ask("hello") == "hello"  # and the hooks have not run
    images.dumped(program.pid, tmp_path / "image")
    assert program.line() == "before"


def test_a_second_dumper_is_told_of_the_first(program: images.Program, memory: int) -> None:
    address = mailbox.find(program.pid)
    mailbox.prepare(program.pid, address, 10)
    with pytest.raises(image.Refused, match="another dump of it is under way"):
        mailbox.prepare(program.pid, address, 0.05)
    mailbox.store_verdict(memory, address, mailbox.GOES_ON, 0)
    await_state(memory, address, mailbox.IDLE)


def test_a_process_that_went_on_is_not_dumped_as_if_it_waited(
    program: images.Program, memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mailbox.prepare

    def prepare(pid: int, address: int, timeout_s: float) -> int:
        ticket = real(pid, address, timeout_s)
        mailbox.store_verdict(memory, address, mailbox.ABANDONED, 0)
        await_state(memory, address, mailbox.IDLE)
        return ticket

    monkeypatch.setattr(mailbox, "prepare", prepare)
    with pytest.raises(image.Refused, match="did not wait any longer"):
        images.dumped(program.pid, tmp_path / "image")


def test_dumps_and_kills_at_random_leave_a_program_that_answers(program: images.Program, tmp_path: Path) -> None:
    chosen = random.Random(5)
    for turn in range(15):
        child = os.fork()
        if not child:
            try:
                images.dumped(program.pid, tmp_path / "killed")
            finally:
                os._exit(0)
        select.select([], [], [], chosen.random() * 0.06)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert program.process.stdin is not None
        program.process.stdin.write(f"{turn}\n".encode())
        while program.line() != str(turn):
            pass
    file = images.dumped(program.pid, tmp_path / "image")
    with images.Restored(file) as restored:
        assert restored.ask("here") == "here"


# ---- what a hostile process may have there ---------------------------------------------------------------------------

HOSTILE = """
import ctypes, os, random, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
chosen = random.Random(int(sys.argv[1]))
box = ctypes.create_string_buffer(4096)
address = ctypes.addressof(box) + -ctypes.addressof(box) % 8
kind = sys.argv[2]
content = bytearray(chosen.randbytes(1024))
if kind != 'noise':
    content[:16] = b'drvs mailbox 1\\0\\0'
if kind == 'state':
    struct.pack_into('<II', content, 16, chosen.choice([0, 1, 2, 3, 4, 5]), 0)
    struct.pack_into('<i', content, 36, chosen.choice([0, 34, 62, 64]))
ctypes.memmove(address, bytes(content), 1024)
where = {'far': chosen.getrandbits(64), 'odd': address + 355, 'end': (1 << 47) - 4096}.get(kind, address + 352)
def wait():
    libc.prctl(15, b'drvs-hooks', 0, 0, 0)
    tid.append(threading.get_native_id())
    while True:
        libc.syscall(ctypes.c_long(128), ctypes.c_void_p(address + 344), ctypes.c_void_p(where & (1 << 64) - 1), None,
                     ctypes.c_long(8))
        if ctypes.get_errno() != 11: threading.Event().wait(0.01)
tid = []
content[344:352] = bytes(8)
ctypes.memmove(address + 344, bytes(8), 8)
threading.Thread(target=wait, daemon=True).start()
while not tid: pass
print('ready', flush=True)
for line in sys.stdin: print(line, end='', flush=True)
"""


@pytest.mark.parametrize("kind", ["noise", "magic", "state", "far", "odd", "end"])
@pytest.mark.parametrize("seed", range(3))
def test_a_hostile_mailbox_neither_crashes_nor_hangs_a_dumper(
    kind: str, seed: int, tmp_path: Path, nothing_left: None
) -> None:
    with images.Program([images.sys.executable, "-c", HOSTILE, str(seed), kind]) as program:
        assert program.line() == "ready"
        with contextlib.suppress(image.Refused):  # or it is dumped, with nothing of it believed
            images.dumped(program.pid, tmp_path / "image", hook_timeout_s=0.2)
        assert program.ask("alive") == "alive"


def test_a_process_with_many_threads_of_that_name_costs_little_time(nothing_left: None) -> None:
    source = (
        "import ctypes, sys, threading\nlibc = ctypes.CDLL(None)\n"
        "def lie(): libc.prctl(15, b'drvs-hooks', 0, 0, 0); threading.Event().wait()\n"
        "threads = [threading.Thread(target=lie, daemon=True) for _ in range(200)]\n"
        "[thread.start() for thread in threads]\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    with images.python(source) as program:
        assert program.line() == "ready"
        before = time.monotonic()
        assert mailbox.find(program.pid) == 0
        assert time.monotonic() - before < 5


def test_contents_of_a_mailbox_are_checked() -> None:
    chosen = random.Random(3)
    space = bytearray(4096)
    address, _ = _core.span_of(space)
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for _ in range(3000):
            space[:400] = chosen.randbytes(400)
            if chosen.random() < 0.9:
                space[:16] = mailbox.MAGIC
            if chosen.random() < 0.7:
                struct.pack_into("<I", space, 16, chosen.randrange(8))
                struct.pack_into("<i", space, 36, chosen.randrange(80))
            try:
                letter = mailbox.read(memory.fileno(), address)
            except image.Refused:
                continue
            assert letter.state <= mailbox.FAILED
            assert letter.problem.isprintable()
        for nowhere in (0, 8, 2**47, 2**63, 2**64 - 8):
            with pytest.raises(image.Refused):
                mailbox.read(memory.fileno(), nowhere)


def test_an_image_whose_mailbox_lies_elsewhere_is_refused(program: images.Program, tmp_path: Path) -> None:
    with images.dumped(program.pid, tmp_path / "image").open("rb") as file:
        meta = image.read_meta(file.fileno())
    right, regions = meta.mailbox, meta.regions
    check_sense(meta)
    text = next(region for region in regions if not region.prot & 2)
    data = next(region for region in regions if region.start <= right < region.end)
    for wrong in (8, 2**47 - 8, 2**64 - 8, text.start, right + 1, data.end - 88, regions[-1].end):
        meta.mailbox = wrong
        with pytest.raises(image.BadImage, match="mailbox"):
            check_sense(meta)


def test_what_a_copy_is_told_survives_the_way() -> None:
    from drvs.hooks import payload

    cases: list[tuple[list[str] | None, dict[str, str] | None]] = [
        (None, None),
        ([], {}),
        (["a", "ü" * 300, "x" * 70000, "\udcff"], {f"V{n}": "v" * n for n in range(300)}),
        ([str(n) for n in range(70000)], None),
    ]
    for argv, environ in cases:
        for kept in (False, True):
            assert payload.decode(mailbox.payload(argv, environ, kept)) == (argv, environ, kept)
