"""The guide's calls against a real noded: one for each module of tests, with a VM for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import drvs
from support import children, guide, nodes


@pytest.fixture(scope="module")
def shared_node() -> Iterator[nodes.RunningNode]:
    """A noded that the tests of a module share."""
    with guide.node_of_a_module() as running:
        yield running


@pytest.fixture
def node(shared_node: nodes.RunningNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[drvs.Node]:
    """The shared node, chosen by the environment as programs of the guide find it."""
    monkeypatch.setenv("DRVS_RUNTIME_DIR", os.fspath(shared_node.runtime_dir))
    with drvs.connect() as connection:
        yield connection


@pytest.fixture
def lab(node: drvs.Node) -> Iterator[guide.Lab]:
    """A VM of this test's own."""
    with guide.new_lab(node) as lab:
        yield lab
        children.close_all()
