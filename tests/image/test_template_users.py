"""Copies as an ordinary user, by root as another user, and copies of copies."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drvs.procspace import image
from support import images, users


def answers_of_copies(program: Path, folder: str) -> list[str]:
    """Dump a program and ask two copies of it."""
    os.chdir("/")
    with images.Program([program]) as running:
        assert running.line() == "ready"
        file = images.dumped(running.pid, Path(folder) / "image")
    with file.open("rb") as stream:
        made = image.Template(stream.fileno())
    with made, images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other:
        return [one.ask(), one.ask(), other.ask(), str(one.finish())]


@pytest.fixture
def public(programs: dict[str, Path]) -> Iterator[Path]:
    """A copy of the program where others may reach it, beside a place for their files."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        copy = Path(name) / "answer"
        copy.write_bytes(programs["answer"].read_bytes())
        copy.chmod(0o755)
        (Path(name) / "open").mkdir()
        (Path(name) / "open").chmod(0o777)
        yield copy


@pytest.mark.root
def test_an_ordinary_user_makes_copies(public: Path, nothing_left: None) -> None:
    assert users.as_nobody(answers_of_copies, public, public.parent / "open") == ["1", "2", "1", "7"]


@pytest.mark.root
def test_root_makes_copies_as_the_user_of_the_program(public: Path, tmp_path: Path, nothing_left: None) -> None:
    who = {"user": users.NOBODY, "group": users.NOBODY, "extra_groups": [65533], "cwd": "/"}
    with images.Program([public], **who) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
    with file.open("rb") as stream, image.Template(stream.fileno()) as made, images.Copy(made) as copy:
        assert copy.ask() == "1"
        for pid in (copy.pid, made.pid):
            status = Path(f"/proc/{pid}/status").read_text()
            assert "Uid:\t65534\t65534\t65534\t65534\n" in status
            assert "Groups:\t65533 \n" in status
            assert "CapPrm:\t0000000000000000" in status
        assert os.stat(f"/proc/{copy.pid}/fd").st_uid == users.NOBODY  # it may be looked at by its user
        assert os.stat(f"/proc/{made.pid}/fd").st_uid == 0  # and what root has open in the template may not


def test_a_copy_can_be_put_aside_and_copied_again(counter: images.Program, tmp_path: Path) -> None:
    file = images.dumped(counter.pid, tmp_path / "image")
    for generation in range(3):
        with file.open("rb") as stream, image.Template(stream.fileno()) as made, images.Copy(made) as copy:
            assert copy.ask() == str(generation + 1)
            file = images.dumped(copy.pid, tmp_path / f"image-{generation}")
            lines = Path(f"/proc/{copy.pid}/maps").read_text().splitlines()
            assert len([line for line in lines if "r-xp 00000000 00:00 0 " in line and "[" not in line]) <= 1
