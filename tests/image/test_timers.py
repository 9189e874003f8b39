"""POSIX timers keep their ids, their time and whom they signal."""

from pathlib import Path

import pytest

from drvs.procspace import image
from drvs.procspace.image import timers
from support import images

AS_MADE = "0 2 7 running 42"


@pytest.mark.parametrize("snapshot", [False, True])
def test_timers_go_on_in_both(programs: dict[str, Path], tmp_path: Path, nothing_left: None, snapshot: bool) -> None:
    with images.Program([programs["timers"]]) as program:
        assert program.line() == "ready"
        assert program.ask() == AS_MADE
        file = images.dumped(program.pid, tmp_path / "image", snapshot=snapshot)
        assert program.ask() == AS_MADE
        with images.Restored(file) as restored:
            assert restored.ask() == AS_MADE
            assert restored.ask() == AS_MADE


@pytest.mark.root
def test_they_find_their_thread_under_its_old_id_too(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None
) -> None:
    with images.Program([programs["timers"]]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with images.Restored(file, "keep") as restored:
        assert restored.ask() == AS_MADE


COUNTED = """
import ctypes, sys
libc = ctypes.CDLL(None)
ids = [ctypes.c_int(-1) for _ in range(3)]
for one in ids:
    assert libc.syscall(222, 1, None, ctypes.byref(one)) == 0
libc.syscall(226, ids[1])
setting = (ctypes.c_long * 4)(0, 0, 1000, 0)
libc.syscall(223, ids[2], 0, setting, None)
print("ready", flush=True)
for line in sys.stdin:
    left = (ctypes.c_long * 4)()
    found = [libc.syscall(224, one, left) for one in ids]
    print(*found, left[2] > 900, flush=True)
"""


def test_an_older_kernel_counts_to_their_ids(tmp_path: Path, nothing_left: None) -> None:
    with images.python(COUNTED) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        was = program.ask()
    assert was == "0 -1 0 True"
    with images.Restored(file, "old") as restored:
        assert restored.ask() == was


def test_an_older_kernel_cannot_make_one_for_a_thread(
    programs: dict[str, Path], tmp_path: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "ids_can_be_chosen", lambda: False)
    with images.Program([programs["timers"]]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with file.open("rb") as stream, pytest.raises(image.Mismatch, match=r"Linux 6\.15"):
        image.restore(stream.fileno())
