"""What cannot be kept is refused by name, and the process is left as it was."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from drvs.procspace import image
from drvs.procspace.image import checks
from drvs.procspace.image.format import Kind, Reader, Writer
from support import images, users

READY = "\nprint('ready', flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)"

REFUSED = {
    "running children": "import os, signal; os.fork() or signal.pause()",
    "not dumpable": "import ctypes; ctypes.CDLL(None).prctl(4, 0)",
    "socket of family AF_INET": "import socket; s = socket.socket()",
    "Unix socket that is not connected": "import socket; a, b = socket.socketpair(); c = a.dup(); b.close()",
    "socket with a name": "import socket; s = socket.socket(socket.AF_UNIX); s.bind(chr(0) + 'drvs-test-image')",
    "the other end of pipe": "import os; r, w = os.pipe(); os.close(w)",
    "file lock": "import fcntl, tempfile; f = tempfile.NamedTemporaryFile(); fcntl.flock(f, fcntl.LOCK_EX)",
    "has been deleted": "import tempfile; f = tempfile.TemporaryFile()",
    "inotify": "import ctypes; ctypes.CDLL(None).inotify_init1(0)",
    "io_uring": "import ctypes; p = ctypes.create_string_buffer(120); assert ctypes.CDLL(None).syscall(425, 4, p) >= 0",
    "running children .*": "import subprocess; p = subprocess.Popen(['sleep', '1000'])",
    "changed its user|not dumpable": "import os; os.setresuid(65534, 65534, 65534) if not os.getuid() else "
    "__import__('ctypes').CDLL(None).prctl(4, 0)",
    "lives in another uts namespace": "import ctypes; assert ctypes.CDLL(None).unshare(0x04000000) == 0",
    "userfaultfd": "import ctypes; l = ctypes.CDLL(None); u = l.syscall(323, 1); "
    "l.ioctl(u, 0xc018aa3f, (ctypes.c_uint64 * 3)(0xaa))",
    "the device /dev/kmsg cannot be kept": "import os; os.open('/dev/kmsg', os.O_WRONLY)",
    "pidfd": "import os; p = os.pidfd_open(os.getpid())",
    "shared memory|shares memory": "import mmap; m = mmap.mmap(-1, 4096)",
    "seccomp filter": "import ctypes; c = ctypes.CDLL(None); c.prctl(38, 1, 0, 0, 0); "
    "f = (ctypes.c_uint16 * 4)(6, 0, 0, 0x7fff); f[2:] = [0, 0x7fff]; "
    "p = (ctypes.c_uint64 * 2)(1, ctypes.addressof(f)); assert c.prctl(22, 2, p) == 0",
}


@pytest.mark.parametrize("words", REFUSED)
def test_it_is_refused_by_name_and_runs_on(words: str, tmp_path: Path, nothing_left: None) -> None:
    with images.python("import sys\n" + REFUSED[words] + READY, start_new_session=True) as program:
        try:
            assert program.line() == "ready"
            with pytest.raises(image.Refused, match=words):
                images.dumped(program.pid, tmp_path / "image")
            assert program.ask("well") == "well"
        finally:
            os.killpg(program.pid, signal.SIGKILL)


def test_a_traced_process_is_refused(counter: images.Program, tmp_path: Path) -> None:
    from drvs.procspace.image.tracer import Tracer

    with Tracer(counter.pid), pytest.raises(image.Refused, match=f"is traced by process {os.getpid()}"):
        images.dumped(counter.pid, tmp_path / "image")
    assert counter.ask() == "1"


def test_a_stopped_process_is_refused(counter: images.Program, tmp_path: Path) -> None:
    os.kill(counter.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, counter.pid, os.WSTOPPED)
    with pytest.raises(image.Refused, match="is stopped"):
        images.dumped(counter.pid, tmp_path / "image")
    os.kill(counter.pid, signal.SIGCONT)
    assert counter.ask() == "1"


def test_nobody_and_oneself_are_refused(tmp_path: Path) -> None:
    with pytest.raises(image.Refused, match="no process"):
        images.dumped(2**22 - 1, tmp_path / "image")
    with pytest.raises(image.Refused, match="itself"):
        images.dumped(os.getpid(), tmp_path / "image")


def test_closed_descriptors_leave_dead_placeholders(tmp_path: Path, nothing_left: None) -> None:
    source = "import os, socket, sys\ns = socket.socket(); n = s.fileno()\nprint('ready', flush=True)\n"
    source += "for line in sys.stdin: print(os.read(n, 1) == b'', flush=True)"
    with images.python(source) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image", close_fds=True)
    with images.Restored(file) as restored:
        assert restored.ask() == "True"


# ---- before a restore ------------------------------------------------------------------------------------------------


def refused(file: Path, words: str, kind: type[image.ImageError] = image.Mismatch) -> None:
    """Restoring this must fail with these words."""
    with file.open("rb") as stream, pytest.raises(kind, match=words):
        image.restore(stream.fileno())


def test_a_program_that_changed_is_named(programs: dict[str, Path], tmp_path: Path, nothing_left: None) -> None:
    import shutil

    copy = Path(shutil.copy(programs["answer"], tmp_path / "copy"))
    with images.Program([copy]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    shutil.copy(programs["registers"], copy)
    refused(file, f"the file {copy} has changed")
    copy.unlink()
    refused(file, f"the file {copy}: No such file")


def test_a_library_that_changed_is_named(tmp_path: Path, nothing_left: None) -> None:
    library, source = tmp_path / "library.so", tmp_path / "library.c"
    source.write_text("int number(void) { return 1; }")
    images.compiled(source, library, "-shared", "-fPIC")
    with images.python(f"import ctypes, sys; ctypes.CDLL({str(library)!r})" + READY) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    source.write_text("int number(void) { return 2; } int another(void) { return 3; }")
    library.unlink()
    images.compiled(source, library, "-shared", "-fPIC")
    refused(file, f"the file {library} has changed")


def test_an_open_file_that_changed_is_named(tmp_path: Path, nothing_left: None) -> None:
    data = tmp_path / "data"
    data.write_text("as it was")
    with images.python(f"import sys; f = open({str(data)!r})" + READY) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    data.write_text("and now")
    refused(file, f"the open file {data} has changed")


def test_another_processor_and_another_kernel_are_named(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    with file.open("rb", buffering=0) as stream:
        reader = Reader(stream.fileno())
        reader.header()
        meta = reader.meta()
    meta.machine.cpu_flags.append("time_travel")
    meta.machine.vdso_crc ^= 1
    with pytest.raises(image.Mismatch, match="lacks time_travel; the kernel's vDSO differs"):
        checks.check_fit(meta)
    other = tmp_path / "other"
    with other.open("wb", buffering=0) as stream:
        writer = Writer(stream.fileno())
        writer.header()
        writer.meta(meta)
        writer.record(Kind.DATA_END)
    other.chmod(0o600)
    refused(other, "time_travel")


def test_an_image_that_others_can_write_is_refused(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o666)
    refused(file, "can be written by others", image.Refused)


@pytest.mark.root
def test_an_image_of_another_owner_is_refused(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    os.chown(file, users.NOBODY, users.NOBODY)
    refused(file, "belongs to user 65534", image.Refused)


# ---- as an ordinary user ---------------------------------------------------------------------------------------------


def dump_and_restore(program: Path, folder: Path) -> list[str]:
    """Dump and restore a program of one's own."""
    with images.Program([program]) as running:
        answers = [running.line(), running.ask()]
        file = images.dumped(running.pid, folder / "image")
        answers.append(running.ask())
        restorer, inner = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            os.close(inner[1])
            os.dup2(inner[0], 0)
            os.dup2(restorer[1], 1)
            with file.open("rb") as stream:
                os.waitpid(image.restore(stream.fileno()), 0)
            os._exit(0)
        os.close(restorer[1])
        os.write(inner[1], b"\n")
        answers.append(os.read(restorer[0], 10).decode().strip())
        os.close(inner[0])
        os.close(inner[1])
        os.waitpid(child, 0)
        return answers


@pytest.mark.root
def test_an_ordinary_user_dumps_and_restores_what_is_theirs(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        copy = folder / "answer"
        copy.write_bytes(programs["answer"].read_bytes())
        copy.chmod(0o755)
        assert users.as_nobody(dump_and_restore, copy, folder) == ["ready", "1", "2", "2"]


def refusal_of(pid: int) -> str:
    """Try to dump somebody else's process."""
    try:
        image.dump(pid, 1)
    except image.Refused as refusal:
        return str(refusal)
    return ""


@pytest.mark.root
def test_an_ordinary_user_is_refused_what_is_not_theirs(counter: images.Program) -> None:
    assert "belongs to another user" in users.as_nobody(refusal_of, counter.pid)
    assert counter.ask() == "1"


@pytest.mark.root
def test_root_restores_a_process_of_another_user_as_that_user(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None
) -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        copy = Path(name) / "answer"
        copy.write_bytes(programs["answer"].read_bytes())
        copy.chmod(0o755)
        who = {"user": users.NOBODY, "group": users.NOBODY, "extra_groups": [65533], "cwd": "/"}
        with images.Program([copy], **who) as program:
            assert program.line() == "ready"
            file = images.dumped(program.pid, tmp_path / "image")
            with images.Restored(file) as restored:
                assert restored.ask() == "1"
                assert identity(restored.real_pid) == identity(program.pid)
                assert "CapPrm:\t0000000000000000" in identity(restored.real_pid)


def identity(pid: int) -> list[str]:
    """Return the lines of /proc that say who a process is."""
    names = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Umask")
    return [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(names)]
