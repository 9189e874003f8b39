"""The calls of BProc for process images, under their own names: results and negative errnos as in C."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drvs.compat.bproc import (
    VMAD_DO_DUMP,
    VMAD_DO_EXECDUMP,
    VMAD_DO_UNDUMP,
    VMAD_DUMP_ALL,
    VMAD_DUMP_EXEC,
    VMAD_DUMP_LIBS,
    VMAD_DUMP_OTHER,
    VMAD_LIB_ADD,
    VMAD_LIB_CLEAR,
    VMAD_LIB_DEL,
    VMAD_LIB_LIST,
    VMAD_LIB_SIZE,
    bproc_dump,
    bproc_execdump,
    bproc_libadd,
    bproc_libclear,
    bproc_libdel,
    bproc_liblist,
    bproc_libsize,
    bproc_syscall,
    bproc_undump,
)
from drvs.procspace import image
from support import images, users
from support.covers import covers

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="process images are for x86-64")


def run(source: str, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run Python with the names of compat.bproc to its end."""
    program = f"import os, sys, errno, threading\nfrom drvs.compat.bproc import *\n{source}"
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


# ---- dump ------------------------------------------------------------------------------------------------------------

TWICE = """
HOOKS
threading.Thread(target=threading.Event().wait, daemon=True).start()
pipe = os.pipe()
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
n = bproc_dump(fd, 0)
print(n, len(os.listdir('/proc/self/task')), os.path.exists(f'/proc/self/fd/{pipe[0]}'), flush=True)
for line in sys.stdin: print(line, end='', flush=True)
"""


@covers("VMAD_DO_DUMP", "OK")
@pytest.mark.parametrize("hooks", ["", "import drvs.hooks"], ids=["plain", "with hooks"])
def test_a_dump_returns_its_bytes_and_later_0(hooks: str, tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    source = "import os, sys, threading\nfrom drvs.compat.bproc import *\n" + TWICE.replace("HOOKS", hooks)
    threads = 3 if hooks else 2
    with images.Program([sys.executable, "-c", source, file]) as program:
        nbytes, *rest = program.line().split()
        assert int(nbytes) == file.stat().st_size > 1_000_000
        assert rest == [str(threads), "True"]
        assert program.ask("on") == "on"
    for _ in range(2):
        with images.Restored(file) as restored:
            assert restored.line() == f"0 {threads} False"
            assert restored.ask("again") == "again"


@covers("VMAD_DO_DUMP", "EBADF", "EINVAL", "EPERM")
def test_a_dump_that_cannot_be_says_why_and_the_caller_goes_on(tmp_path: Path) -> None:
    assert bproc_dump(999) == -errno.EBADF
    assert bproc_syscall(VMAD_DO_DUMP, 1, 8) == -errno.EINVAL
    source = "import signal, time\npid = os.fork()\nif not pid: signal.pause()\n"
    source += "print(bproc_dump(1)); os.kill(pid, 9); print(os.waitpid(pid, 0)[0] == pid)"
    assert run(source).stdout.split() == [str(-errno.EPERM), "True"]
    read_only = "print(bproc_dump(os.open('/dev/null', os.O_RDONLY)), bproc_dump(os.open('/dev/full', os.O_WRONLY)))"
    assert run(read_only).stdout.split() == [str(-errno.EBADF), str(-errno.ENOSPC)]


@covers("VMAD_DO_DUMP", "OK")
def test_a_dump_flows_through_a_pipe(tmp_path: Path, nothing_left: None) -> None:
    reader, writer = os.pipe()
    source = "fd = int(sys.argv[1])\nif bproc_dump(fd): os.close(fd)\nelse: print('restored', flush=True)"
    program = f"import os, sys\nfrom drvs.compat.bproc import *\n{source}"
    with subprocess.Popen([sys.executable, "-c", program, str(writer)], pass_fds=[writer]):
        os.close(writer)
        restored = subprocess.run(
            [sys.executable, "-c", f"from drvs.compat.bproc import *\nbproc_undump({reader})"],
            pass_fds=[reader], stdout=subprocess.PIPE, text=True, check=True, timeout=60,
        )  # fmt: skip
    os.close(reader)
    assert restored.stdout == "restored\n"


def test_a_helper_that_is_killed_leaves_the_caller_running(nothing_left: None) -> None:
    reader, writer = os.pipe()  # nobody reads it: the helper waits in the middle of the image
    source = f"import sys\nfrom drvs.compat.bproc import *\nprint(bproc_dump({writer}), bproc_dump(1, 9), flush=True)\n"
    source += "for line in sys.stdin: print(line, end='', flush=True)"
    with images.Program([sys.executable, "-c", source], pass_fds=[writer]) as program:
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
        while not (found := children.read_text().split()):
            os.sched_yield()
        assert os.read(reader, 8) == b"DRVSIMG\n"
        os.kill(int(found[0]), signal.SIGKILL)
        assert program.line() == f"{-errno.EIO} {-errno.EINVAL}"
        assert program.ask("on") == "on"
    os.close(reader)
    os.close(writer)


@pytest.mark.root
def test_a_process_of_an_ordinary_user_dumps_itself() -> None:
    def dump() -> list[int]:
        done = run("print(bproc_dump(os.open('/dev/null', os.O_WRONLY)))")
        null = os.open("/dev/null", os.O_WRONLY)
        return [int(done.stdout or 0), image.exec_dump(null, ["/bin/true"]).threads]

    nbytes, threads = users.as_nobody(dump)
    assert nbytes > 1_000_000
    assert threads == 1


# ---- undump ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path, nothing_left: None) -> Path:
    """The image of a program that tells its pid and what it has open."""
    source = "import json, os, sys\nprint('ready', flush=True)\n"
    source += "for line in sys.stdin: print(os.getpid(), *sorted(os.listdir('/proc/self/fd')), flush=True)\nsys.exit(5)"
    with images.python(source) as program:
        assert program.line() == "ready"
        return images.dumped(program.pid, tmp_path / "image", no_descriptors=True)


UNDUMP = """
import os, signal, sys, threading
from drvs.compat.bproc import *
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.signal(signal.SIGUSR1, lambda *_: None)
null = os.open('/dev/null', os.O_RDONLY)
for number in (3, 4, 40): os.dup2(null, number)
os.dup2(null, 41, inheritable=False)
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_CLOEXEC)
print('failed', bproc_undump(fd), flush=True)
"""


@covers("VMAD_DO_UNDUMP", "OK")
def test_undump_replaces_the_caller_as_an_exec_does(kept: Path) -> None:
    with images.Program([sys.executable, "-c", UNDUMP, kept]) as program:
        pid, *numbers = program.ask().split()
        assert int(pid) == program.pid
        assert {"0", "1", "2", "3", "4", "40"} <= {*numbers}
        assert "41" not in numbers
        assert len(os.listdir(f"/proc/{program.pid}/task")) == 1
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert program.process.wait(30) == 5


@covers("VMAD_DO_UNDUMP", "EBADF", "EINVAL", "ENOEXEC", "EPERM")
def test_an_undump_that_cannot_be_leaves_the_caller_as_it_was(kept: Path, tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd")), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert bproc_undump(999) == -errno.EBADF
    with open("/bin/true", "rb") as file:
        mine = os.fstat(file.fileno()).st_uid == os.geteuid()
        assert bproc_undump(file.fileno()) == (-errno.EINVAL if mine else -errno.EPERM)
    with kept.open("rb") as file:
        os.fchmod(file.fileno(), 0o666)
        assert bproc_syscall(VMAD_DO_UNDUMP, file.fileno()) == -errno.EPERM
        os.fchmod(file.fileno(), 0o600)
    cut = tmp_path / "cut"
    cut.write_bytes(kept.read_bytes()[:1000])
    cut.chmod(0o600)
    with cut.open("rb") as file:
        assert bproc_undump(file.fileno()) == -errno.EINVAL
    program = images.compiled(Path(__file__).parent.parent / "image" / "sleeper.c", tmp_path / "sleeper")
    fd = os.open(tmp_path / "stale", os.O_RDWR | os.O_CREAT, 0o600)
    assert image.exec_dump(fd, [str(program)]).threads == 1
    program.write_bytes(program.read_bytes()[:-8])
    os.lseek(fd, 0, os.SEEK_SET)
    assert bproc_undump(fd) == -errno.ENOEXEC
    os.close(fd)
    assert (sorted(os.listdir("/proc/self/fd")), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == before


def test_a_page_that_is_damaged_ends_the_caller_with_127(kept: Path) -> None:
    data = bytearray(kept.read_bytes())
    data[-6000] ^= 1
    kept.write_bytes(data)
    assert run("bproc_undump(os.open(sys.argv[1], os.O_RDONLY))", kept).returncode == 127


# ---- exec and dump ---------------------------------------------------------------------------------------------------


@covers("VMAD_DO_EXECDUMP", "OK")
@pytest.mark.parametrize("flags", [0, VMAD_DUMP_ALL])
def test_execdump_exits_and_its_image_starts_at_the_beginning(flags: int, tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    source = "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)\n"
    source += "argv = ['sh', '-c', 'echo $0 $COLOUR $1; exit 3', 'zero', 'one']\n"
    source += "print('failed', bproc_execdump(fd, int(sys.argv[2]), '/bin/sh', argv, ['COLOUR=red']), flush=True)"
    done = run(source, file, flags)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    for _ in range(2):
        restored = run("bproc_undump(os.open(sys.argv[1], os.O_RDONLY))", file)
        assert (restored.stdout, restored.returncode) == ("zero red one\n", 3)


@covers("VMAD_DO_EXECDUMP", "EBADF", "EINVAL", "ENOENT", "EACCES")
def test_an_execdump_that_cannot_be_returns_to_the_caller(tmp_path: Path, nothing_left: None) -> None:
    assert bproc_execdump(999, 0, "/bin/true", ["true"]) == -errno.EBADF
    with (tmp_path / "image").open("wb") as file:
        assert bproc_execdump(file.fileno(), 8, "/bin/true", ["true"]) == -errno.EINVAL
        assert bproc_execdump(file.fileno(), 0, "/nowhere", ["true"]) == -errno.ENOENT
        assert bproc_syscall(VMAD_DO_EXECDUMP, file.fileno(), 0, "/etc/passwd", ["x"]) == -errno.EACCES


def test_the_flags_choose_whose_contents_are_kept(tmp_path: Path, runtime_dir: Path, nothing_left: None) -> None:
    program = images.compiled(Path(__file__).parent.parent / "image" / "sleeper.c", tmp_path / "sleeper")
    with images.Program([program]) as running:
        assert running.line() == "ready"
        maps = Path(f"/proc/{running.pid}/maps").read_text().split()
        libc = next(word for word in maps if "libc.so" in word or "/libc-" in word)
        assert bproc_libadd(libc) == 0

        def files(flags: int) -> set[str]:
            file = images.dumped(running.pid, tmp_path / "image", flags=flags)
            with file.open("rb") as stream:
                return {found.path for found in image.read_meta(stream.fileno()).files}

        everything = files(0)
        assert {str(program), libc} < everything
        assert files(VMAD_DUMP_LIBS) == everything - {libc}
        assert files(VMAD_DUMP_EXEC) == everything - {str(program)}
        assert files(VMAD_DUMP_OTHER) == {str(program), libc}
        assert files(VMAD_DUMP_ALL) == set()


# ---- the library list ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _a_list_of_our_own(runtime_dir: Path) -> None:
    """The runtime directory is this test's own."""


def listed() -> bytes:
    """The list as the call stores it."""
    buffer = bytearray(bproc_libsize())
    assert bproc_liblist(buffer) == len(buffer)
    return bytes(buffer)


@covers("VMAD_LIB_CLEAR", "OK")
@covers("VMAD_LIB_ADD", "OK")
@covers("VMAD_LIB_DEL", "OK")
@covers("VMAD_LIB_LIST", "OK")
@covers("VMAD_LIB_SIZE", "OK")
def test_the_library_list_grows_shrinks_and_is_emptied() -> None:
    assert bproc_libsize() == 0
    assert bproc_libadd("/lib/one.so") == 0
    assert bproc_syscall(VMAD_LIB_ADD, b"/lib/two.so and more", 11) == 0
    assert bproc_libadd("/lib/dr\udcffi.so") == 0
    assert listed() == b"/lib/one.so\0/lib/two.so\0/lib/dr\xffi.so\0"
    assert bproc_syscall(VMAD_LIB_SIZE) == len(listed())
    assert bproc_libdel("/lib/one.so") == 0
    assert bproc_syscall(VMAD_LIB_DEL, "/lib/dr\udcffi.so") == 0
    big = bytearray(b"x" * 30)
    assert bproc_syscall(VMAD_LIB_LIST, big, 20) == 12
    assert bytes(big[:13]) == b"/lib/two.so\0x"
    assert bproc_syscall(VMAD_LIB_CLEAR) == 0
    assert listed() == b""


@covers("VMAD_LIB_ADD", "EEXIST", "EINVAL", "ENAMETOOLONG")
@covers("VMAD_LIB_DEL", "ENOENT", "EINVAL")
@covers("VMAD_LIB_LIST", "ENOSPC")
def test_what_the_library_list_does_not_take() -> None:
    assert bproc_libadd("/lib/one.so") == 0
    assert bproc_libadd("/lib/one.so") == -errno.EEXIST
    for wrong in ("", "one.so", "/lib/o\0ne"):
        assert bproc_libadd(wrong) == -errno.EINVAL
    assert bproc_libadd("/" + 4095 * "x") == -errno.ENAMETOOLONG
    assert bproc_libadd("/" + 4094 * "x") == 0
    assert bproc_libdel("/lib/two.so") == -errno.ENOENT
    assert bproc_libdel("two.so") == -errno.EINVAL
    assert bproc_liblist(bytearray(11)) == -errno.ENOSPC
    assert bproc_syscall(0x1035) == -errno.ENOSYS


@pytest.mark.root
@covers("VMAD_LIB_CLEAR", "EPERM")
@covers("VMAD_LIB_ADD", "EPERM")
@covers("VMAD_LIB_DEL", "EPERM")
def test_only_the_owner_of_the_node_changes_the_list() -> None:
    assert bproc_libadd("/lib/one.so") == 0

    def try_all() -> list[int]:
        return [bproc_libclear(), bproc_libadd("/lib/two.so"), bproc_libdel("/lib/one.so"), bproc_libsize()]

    assert users.as_nobody(try_all) == [-errno.EPERM] * 3 + [12]


def test_many_at_once_lose_nothing() -> None:
    def add(number: int) -> None:
        for index in range(20):
            assert bproc_libadd(f"/lib/{number}-{index}.so") == 0

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(image.library_list()) == 80
