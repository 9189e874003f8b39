"""`drvs up --nats` is all that joining a cluster takes; what is wrong with a cluster shows before a node is started."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import brokers
from support.nodes import drvs

PEOPLE = Path(__file__).parent / "people.py"


@pytest.fixture
def broker() -> Iterator[brokers.Broker]:
    mine = brokers.Broker(brokers.program())
    yield mine
    mine.stop()


class Host:
    """A runtime directory that stands for a machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def drvs(self, *arguments: str) -> str:
        done = drvs(*arguments, runtime_dir=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.drvs("status", "--json")))

    def people(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", str(PEOPLE), *arguments]
        return subprocess.Popen(command, env={"DRVS_RUNTIME_DIR": str(self.folder)}, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    found = [Host(tmp_path / name) for name in "abc"]
    yield found
    for host in found:
        drvs("down", runtime_dir=host.folder)


def test_three_nodes_join_through_nats_alone_and_talk_through_it(broker: brokers.Broker, hosts: list[Host]) -> None:
    for host in hosts:
        host.drvs("up", "--nats", broker.url, "--name", host.folder.name, "--insecure")
    assert [host.status()["node"] for host in hosts] == [0, 1, 2]
    hosts[0].drvs("vm", "create", "work", "--nodes", "all")
    server = hosts[1].people("echo", "far")
    for host in hosts:
        assert host.people("call", "far", "41").communicate(timeout=60)[0] == "42\n"
    hosts[2].people("call", "far", "quit").communicate(timeout=60)
    assert server.wait(timeout=60) == 0


def test_a_node_that_comes_back_has_its_old_number_and_its_vms(broker: brokers.Broker, hosts: list[Host]) -> None:
    for host in hosts[:2]:
        host.drvs("up", "--nats", broker.url, "--name", host.folder.name, "--insecure")
    hosts[0].drvs("vm", "create", "work", "--nodes", "0,1")
    hosts[1].drvs("down")
    hosts[2].drvs("up", "--nats", broker.url, "--name", "c", "--insecure")
    hosts[1].drvs("up", "--nats", broker.url, "--name", "b", "--insecure")
    assert hosts[1].status()["node"] == 1
    assert hosts[2].status()["node"] == 2
    server = hosts[1].people("echo", "back")
    assert hosts[0].people("call", "back", "1", "quit").communicate(timeout=60)[0] == "2\n0\n"
    server.communicate(timeout=60)


def test_what_is_wrong_shows_before_anything_is_started(tmp_path: Path, hosts: list[Host]) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('[cluster]\nname = "c"\n\n[[node]]\nid = 0\naddress = "tcp://nowhere"\n')
    for arguments, reason in [
        (["--cluster", str(file)], f"{file}:6"),
        (["--cluster", str(tmp_path / "missing")], "cannot be read"),
        (["--nats", "nats://127.0.0.1:1", "--insecure"], "cannot reach NATS"),
        (["--nats", "nats://127.0.0.1:1"], "--credentials"),
        (["--nats", "nats://127.0.0.1:1", "--cluster", str(file)], "choose one"),
    ]:
        done = drvs("up", *arguments, runtime_dir=hosts[0].folder)
        assert done.returncode != 0
        assert reason in " ".join((done.stdout + done.stderr).split()), done.stderr
        assert not hosts[0].folder.exists()


def test_a_node_whose_proxies_cannot_start_does_not_start(tmp_path: Path, hosts: list[Host]) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('[cluster]\nname = "c"\ninsecure = true\n\n[[node]]\nid = 0\naddress = "tcp://192.0.2.1:7411"\n')
    done = drvs("up", "--cluster", str(file), runtime_dir=hosts[0].folder)
    assert done.returncode != 0
    assert "cannot listen on tcp://192.0.2.1:7411" in done.stderr
    assert not hosts[0].folder.exists()


def test_who_is_turned_away_shows_in_the_status_and_in_the_log(tmp_path: Path, hosts: list[Host]) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    file = tmp_path / "cluster.toml"
    file.write_text(f'[cluster]\nname = "c"\ninsecure = true\n\n[[node]]\nid = 0\naddress = "tcp://127.0.0.1:{port}"\n')
    host = hosts[0]
    host.drvs("up", "--cluster", str(file), "--node", "0", "--insecure")
    for _ in range(6):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stranger.recv(100)
    deadline = time.monotonic() + 60
    while len(found := host.status()["strangers"]) < 6 and time.monotonic() < deadline:
        pass
    assert len(found) == 6
    assert all("the limit is 4096" in row["text"] for row in found)
    log = (host.folder / "private" / "noded.log").read_text()
    assert "was turned away: a frame of" in log
