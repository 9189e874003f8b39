"""Who may dump: one's own processes as anybody, those of others never, and what forbids it is named with its remedy."""

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drvs.base import yama
from drvs.procspace import image
from drvs.procspace.image import calls, tracer
from support import images, procfs, users
from support.children import spawn

DRVS = [sys.executable, "-m", "drvs.cli", "image"]
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_PTRACE, _EPERM = 101, 1


def forbid_ptrace() -> None:
    """Do to this process what the default seccomp profile of some containers does."""
    load, jump, answer = 0x20, 0x15, 0x06
    lines = [(load, 0, 0, 0), (jump, 0, 1, _PTRACE), (answer, 0, 0, 0x50000 | _EPERM), (answer, 0, 0, 0x7FFF0000)]
    program = b"".join(struct.pack("<HBBI", *line) for line in lines)
    where, _ = calls.span_of(program)
    procfs.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    calls.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, struct.pack("<HxxxxxxQ", len(lines), where))


def refusal_of(pid: int) -> tuple[str, str]:
    """Try to dump a process; return why it is refused and what to do."""
    with open(os.devnull, "wb") as nowhere:
        try:
            image.dump(pid, nowhere.fileno())
        except image.Refused as refusal:
            return str(refusal), refusal.hint
    return "", ""


def test_a_container_that_forbids_ptrace_is_named_with_the_remedy(counter: images.Program) -> None:
    def dump(_me: object) -> tuple[str, str]:
        forbid_ptrace()
        return refusal_of(counter.pid)

    said, hint = spawn(dump).result()
    assert f"ptrace of process {counter.pid} is not permitted" in said
    assert "seccomp profile" in hint
    assert "SYS_PTRACE" in hint
    assert counter.ask() == "1"


@pytest.mark.parametrize(
    ("scope", "words"), [(0, "Be its user or root"), (1, "ptrace_scope is 1"), (3, "ptrace_scope is 3")]
)
def test_yama_is_named_with_the_remedy(scope: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scope").write_text(f"{scope}\n")
    monkeypatch.setattr(yama, "SETTING", str(tmp_path / "scope"))
    assert words in tracer.remedy()


# ---- an ordinary user's commands -------------------------------------------------------------------------------------


@pytest.fixture
def public(programs: dict[str, Path]) -> Iterator[Path]:
    """A directory where anybody may write, with a program in it."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        copy = Path(name) / "answer"
        copy.write_bytes(programs["answer"].read_bytes())
        copy.chmod(0o755)
        yield copy


def drvs(*words: object, said: str = "") -> tuple[int, str]:
    """Run `drvs image` with these lines on its input; return its exit status and what it printed."""
    command = [*DRVS, *map(str, words)]
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def all_commands(program: Path) -> dict[str, tuple[int, str]]:
    """Put a program of one's own aside, bring it back, and multiply it."""
    os.chdir(program.parent)
    with images.Program([program]) as running:
        assert (running.line(), running.ask()) == ("ready", "1")
        found = {"dump": drvs("dump", running.pid, "file"), "fork": drvs("fork", running.pid, "-n", 2)}
        assert running.ask() == "2"
        found |= {"show": drvs("show", "file"), "verify": drvs("verify", "file")}
        found |= {"restore": drvs("restore", "file", said="\n"), "start": drvs("start", "file", "-n", 2)}
        return found


@pytest.mark.root
def test_an_ordinary_user_has_all_commands_for_what_is_theirs(public: Path, nothing_left: None) -> None:
    found = users.as_nobody(all_commands, public)
    for command in ("dump", "show", "verify"):
        assert found[command][0] == 0, found[command][1]
    for command in ("fork", "restore", "start"):  # the program ends with status 7 when its input does
        assert found[command][0] == 7, found[command][1]
    assert found["restore"][1].split() == ["2"]


def copies_of(program: Path) -> list[str]:
    """Fork a running program of one's own, which goes on."""
    os.chdir("/")
    with images.Program([program]) as running:
        assert running.line() == "ready"
        pids = image.fork(running.pid, 2)
        owners = [str(os.stat(f"/proc/{pid}").st_uid) for pid in pids]
        for pid in pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        return [*owners, running.ask()]


@pytest.mark.root
def test_an_ordinary_user_forks_what_is_theirs(public: Path, nothing_left: None) -> None:
    assert users.as_nobody(copies_of, public) == ["65534", "65534", "1"]


def tries(pid: int, folder: Path, file: Path) -> dict[str, tuple[int, str]]:
    """Try everything on what belongs to somebody else."""
    os.chdir(folder)
    found = {"dump": drvs("dump", pid, "file"), "fork": drvs("fork", pid, "-n", 1)}
    found |= {"restore": drvs("restore", file), "start": drvs("start", file, "-n", 1)}
    assert not (folder / "file").exists()
    return found


@pytest.mark.root
def test_an_ordinary_user_is_refused_by_name_what_is_not_theirs(counter: images.Program, public: Path) -> None:
    file = images.dumped(counter.pid, public.parent / "roots")
    file.chmod(0o644)
    found = users.as_nobody(tries, counter.pid, public.parent, file)
    for command in ("dump", "fork"):
        assert found[command][0] == 1
        assert f"process {counter.pid} (answer) belongs to another user" in found[command][1]
        assert "Be that user, or root." in found[command][1]
    for command in ("restore", "start"):
        assert found[command][0] == 1
        assert "the image belongs to user 0" in found[command][1]
    assert counter.ask() == "1"
