"""Compiled programs to dump, and a place for images."""

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import images

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Images exist for x86-64 only."""
    if platform.machine() != "x86_64":
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="process images are for x86-64"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The C programs, by name."""
    folder = tmp_path_factory.mktemp("programs")
    names = {
        "registers": ["-static"],
        "answer": ["-pthread"],
        "sleeper": [],
        "unreachable": [],
        "execer": ["-pthread"],
        "timers": ["-pthread"],
        "altstack": [],
        "vforker": [],
        "numbers": [],
    }
    return {name: images.compiled(HERE / f"{name}.c", folder / name, *flags) for name, flags in names.items()}


@pytest.fixture
def counter(programs: dict[str, Path], nothing_left: None) -> Iterator[images.Program]:
    """A running C program of four threads that answers each line with how many it has read."""
    with images.Program([programs["answer"]]) as program:
        assert program.line() == "ready"
        yield program
