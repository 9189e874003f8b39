"""What the tests of noded share: a client, a VM, and a way to say which code is expected."""

from collections.abc import Iterator

import pytest

from drvs.daemon.client import Client
from support.nodes import RunningNode


@pytest.fixture
def client(node: RunningNode) -> Iterator[Client]:
    """A client of the running node."""
    with Client(node.runtime_dir) as connection:
        yield connection


@pytest.fixture
def lab(client: Client) -> int:
    """A VM named 'lab' on that node: its id."""
    return int(client.call("vm_init", name="lab")["vmid"])
