"""Programs with much of something, or with something strange: they go on as the original does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import images

MAPPING = """
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
def new(nbytes, flags=0x22): return libc.mmap(None, nbytes, 3, flags, -1, 0)
def at(address): return ctypes.c_char.from_address(address)
def field(name): return [line.split() for line in open("/proc/self/status") if line.startswith(name)]
"""
ASK = "\nprint('ready', flush=True)\nfor line in sys.stdin: print(check(), flush=True)"

PROGRAMS = {
    "terabytes that are only reserved": "m = new(4 << 40, 0x4022); at(m + (3 << 40)).value = b'z'\n"
    "def check(): return at(m + (3 << 40)).value, at(m + (2 << 40)).value",
    "twenty thousand mappings": "m = new(40000 << 12); at(m + 8192).value = b'z'\n"
    "for i in range(1, 20000): libc.mprotect(m + (2 * i << 12), 4096, 1)\n"
    "def check(): return at(m + 8192).value, sum(1 for _ in open('/proc/self/maps')) > 20000",
    "thousands of descriptors": "import resource; resource.setrlimit(7, (4096, resource.getrlimit(7)[1]))\n"
    "fds = [os.open('/dev/null', os.O_RDONLY) for _ in range(1500)]; fds += [os.dup(fds[7]) for _ in range(1500)]\n"
    "def check(): return len(os.listdir('/proc/self/fd'))",
    "two hundred threads": "import threading\n"
    "for _ in range(200): threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    "def check(): return threading.active_count(), len(os.listdir('/proc/self/task'))",
    "pages that may not be read": "m = new(8192); at(m).value = b'z'; libc.mprotect(m, 8192, 0)\n"
    "def check(): libc.mprotect(m, 8192, 1); found = at(m).value; libc.mprotect(m, 8192, 0); return found",
    "huge pages": "m = new(16 << 20); libc.madvise(m, 16 << 20, 14); ctypes.memset(m, 97, 16 << 20)\n"
    "def check(): return at(m + (5 << 20)).value",
    "locked memory": "m = new(65536); at(m).value = b'z'; libc.mlock(m, 65536)\n"
    "def check(): return at(m).value, field('VmLck')",
    "every signal blocked": "import signal; signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())\n"
    "def check(): return field('SigBlk')",
    "a deleted file mapped": "n = sys.argv[1] + '/deleted'; f = os.open(n, os.O_RDWR | os.O_CREAT)\n"
    "os.write(f, b'q' * 8192); m = libc.mmap(None, 8192, 1, 2, f, 0); os.close(f); os.unlink(n)\n"
    "def check(): return at(m + 4096).value",
    "a file with a newline in its name": "n = sys.argv[1] + '/new\\nline\\\\012'; open(n, 'wb').write(b'x' * 8192)\n"
    "f = open(n, 'r+b'); m = mmap.mmap(f.fileno(), 8192, mmap.MAP_PRIVATE); s = mmap.mmap(f.fileno(), 8192); m[0] = 7\n"
    "def check(): return m[:2], s[:2], f.read(0), f.tell()",
    "a moved break": "libc.sbrk.restype = ctypes.c_void_p; libc.sbrk(1 << 20)\n"
    "top = libc.sbrk(0); at(top - 1).value = b'z'\n"
    "def check(): return top == libc.sbrk(0), at(top - 1).value",
    "a name of its thread": "libc.prctl(15, b'other name', 0, 0, 0)\n"
    "def check(): return open('/proc/self/comm').read().strip()",
}  # fmt: skip


@pytest.mark.parametrize("snapshot", [False, True], ids=["standing", "snapshot"])
@pytest.mark.parametrize("what", PROGRAMS)
def test_a_program_with(what: str, snapshot: bool, tmp_path: Path, nothing_left: None) -> None:
    with images.Program([sys.executable, "-c", MAPPING + PROGRAMS[what] + ASK, tmp_path]) as program:
        assert program.line() == "ready"
        started = time.monotonic()
        file = images.dumped(program.pid, tmp_path / "image", snapshot=snapshot)
        assert time.monotonic() - started < 10
        found = program.ask()
        with images.Restored(file) as restored:
            assert restored.ask() == found
            assert restored.ask() == program.ask()


WIPED = "m = new(8192); at(m).value = b'z'; libc.madvise(m, 8192, {advice})\ndef check(): return at(m).value"


def test_memory_that_is_wiped_on_a_fork_comes_back_wiped(tmp_path: Path, nothing_left: None) -> None:
    with images.python(MAPPING + WIPED.format(advice=18) + ASK) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.ask() == "b'z'"
    with images.Restored(file) as restored:
        assert restored.ask() == r"b'\x00'"


def test_memory_that_the_kernel_may_drop_comes_back_dropped(tmp_path: Path, nothing_left: None) -> None:
    source = "m = new(8192, 0x28) or 0\n"  # MAP_DROPPABLE, since Linux 6.11
    source += "failed = m in (0, 2**64 - 1)\nif not failed: at(m).value = b'z'\ndef flags():\n"
    source += "    smaps = open('/proc/self/smaps').read().partition(f'{m:x}-')[2]\n"
    source += "    return 'dp' in smaps.partition('VmFlags:')[2].partition('\\n')[0].split()\n"
    source += "def check(): return (failed,) if failed else (failed, flags(), at(m).value)"
    with images.python(MAPPING + source + ASK) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        if program.ask() == "(True,)":
            pytest.skip("this kernel has no such memory")
        assert program.ask() == "(False, True, b'z')"
    with images.Restored(file) as restored:
        assert restored.ask() == r"(False, True, b'\x00')"


def test_guards_are_guards_again(tmp_path: Path, nothing_left: None) -> None:
    source = "m = new(1 << 16); ctypes.memset(m, 97, 1 << 16)\nmade = libc.madvise(m + 8192, 4096, 102) == 0\n"
    source += "r, w = os.pipe()\ndef check(): return made, libc.write(w, ctypes.c_void_p(m + 8192), 1), at(m).value"
    with images.python(MAPPING + source + ASK) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        found = program.ask()
        assert found in ("(True, -1, b'a')", "(False, 1, b'a')")
    with images.Restored(file) as restored:
        assert restored.ask() == found


@pytest.mark.parametrize("snapshot", [False, True], ids=["standing", "snapshot"])
def test_a_thread_in_a_handler_on_its_alternate_stack(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None, snapshot: bool
) -> None:
    with images.Program([programs["altstack"]]) as program:
        assert program.line() == "in the handler"
        file = images.dumped(program.pid, tmp_path / "image", snapshot=snapshot)
        assert program.ask() == "on the alternate stack"
        with images.Restored(file) as restored:
            assert restored.ask() == "on the alternate stack"
            assert restored.line() == program.line() == "back"


ON_A_SMALL_DISK = """
import subprocess, sys
from support import images
with images.Program([sys.argv[1]]) as program:
    program.line()
    drvs = subprocess.run([sys.argv[2], "image", "dump", str(program.pid), "image"], capture_output=True, text=True)
    print(drvs.returncode, program.ask(), drvs.stderr)
"""


@pytest.mark.root
def test_a_full_disk_leaves_no_file_and_the_program_runs_on(programs: dict[str, Path], tmp_path: Path) -> None:
    drvs = Path(sys.executable).with_name("drvs")
    script = 'mount -t tmpfs -o size=16k none "$1" && cd "$1" && "$2" -c "$3" "$4" "$5" && ls'
    words = ["sh", tmp_path, sys.executable, ON_A_SMALL_DISK, programs["answer"], drvs]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    command = ["unshare", "--mount", "sh", "-c", script, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if "mount: " in done.stderr or "unshare: " in done.stderr:
        pytest.skip("nothing can be mounted here")
    status, answer, *words = done.stdout.split(maxsplit=2)
    assert (status, answer) == ("1", "1"), done.stderr
    assert "No space left on device" in words[0]
    assert "part" not in words[0]  # which `ls` would show
