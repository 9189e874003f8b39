"""The C library against a real noded: one for each module of tests, with a VM for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import drvs
from support import cface, children, nodes

PYTHON_ONLY = ("[no int]", "[const]", "[str]", "test_a_drvs_message_can_be_used_in_place_of_the_guides")
"""Cases of tests/compat that C's own types make impossible: a number beyond int, a buffer that knows its size, and
Python's Message, whose envelope no C structure has."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what no C program can do."""
    here = Path(__file__).parent
    items[:] = [item for item in items if not (item.path.parent == here and item.name.endswith(PYTHON_ONLY))]


@pytest.fixture(scope="module")
def shared_node() -> Iterator[nodes.RunningNode]:
    """A noded that the tests of a module share; its directory is open to other users."""
    path = Path(tempfile.mkdtemp(prefix="drvs-"))
    path.chmod(0o755)
    running = nodes.start(path)
    yield running
    children.close_all()
    running.stop()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def node(shared_node: nodes.RunningNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[drvs.Node]:
    """The shared node, chosen by the environment as programs of the guide find it."""
    monkeypatch.setenv("DRVS_RUNTIME_DIR", os.fspath(shared_node.runtime_dir))
    with drvs.connect() as connection:
        yield connection


@pytest.fixture
def lab(node: drvs.Node) -> Iterator[Any]:
    """A VM of this test's own; processes in it are bound by the C library."""
    with cface.guide().new_lab(node) as lab:
        yield lab
        children.close_all()
