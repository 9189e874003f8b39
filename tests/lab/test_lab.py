"""A lab's life: its nodes are machines of their own, are killed and come back, and nothing is left, whatever dies."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drvs.cluster import config
from drvs.lab import Lab, LabError, NoSuchLab, launch
from support import labs, nodes, procfs, users

PYTHON = sys.executable


def test_each_node_serves_under_its_own_number(lab: Lab) -> None:
    for node in lab.nodes:
        found = json.loads(node.drvs("status", "--json"))
        assert (found["node"], found["runtime_dir"]) == (node.id, node.runtime_dir)


def test_programs_of_a_node_bind_there(lab: Lab) -> None:
    program = "import drvs; print(int(drvs.connect().create_vm('mine').bind(name='me').endpoint))"
    assert int(lab.node(1).run([PYTHON, "-c", program]).stdout) > 0
    assert json.loads(lab.node(0).drvs("vm", "list", "--json")) == []


def test_the_cluster_file_of_each_node_names_all_of_them(lab: Lab) -> None:
    for node in lab.nodes:
        found = config.load(lab.spec.cluster_file(node.id))
        assert (found.name, found.cluster.insecure, sorted(found.nodes)) == ("lab", True, [0, 1, 2])
        assert found.entry(node.id).address == "tcp://{}:{}".format(*node.address)
        other = found.entry((node.id + 1) % 3)
        assert other.address == "tcp://{}:{}".format(*node.address_of(other.id))


def test_a_program_gives_its_status_and_what_it_printed(lab: Lab) -> None:
    done = lab.node(0).run(["sh", "-c", "cat; echo to stderr >&2; exit 7"], text_in="in", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "in", "to stderr\n")
    assert lab.node(0).run(["sh", "-c", "kill -9 $$"], check=False).returncode in (137, -9)
    with pytest.raises(LabError, match=r"status 127.*no-such-program"):
        lab.node(0).run(["no-such-program"])


def test_killing_the_handle_of_a_program_kills_the_program(lab: Lab) -> None:
    running = lab.node(0).popen(["sh", "-c", "echo $$; exec sleep 1000"], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    running.stdout.readline()
    running.kill()
    assert running.stdout.read() == ""  # nobody holds the other end any more
    running.wait()
    running.stdout.close()


def test_a_killed_node_loses_everything_and_comes_back_empty(lab: Lab) -> None:
    lab.node(1).drvs("vm", "create", "mine")
    running = lab.node(1).popen(["sh", "-c", "echo here; exec sleep 1000"], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    running.stdout.readline()
    lab.node(1).kill()
    assert running.wait(nodes.PATIENCE_S) in (137, -9)
    running.stdout.close()
    assert (lab.node(1).status()["state"], lab.node(1).status()["pid"]) == ("killed", 0)
    with pytest.raises(LabError, match="killed"):
        lab.node(1).run(["true"])
    lab.node(1).restart()
    assert json.loads(lab.node(1).drvs("vm", "list", "--json")) == []
    assert lab.node(1).log().count("is initialised") == 2


@pytest.mark.root
@pytest.mark.parametrize("namespaces", [True], indirect=True)
def test_with_namespaces_a_node_is_a_machine_of_its_own(lab: Lab) -> None:
    shown = lab.node(2).run(["sh", "-c", "hostname; readlink /proc/self; ls /dev/shm; ls /sys/class/net /proc"]).stdout
    name, pid, *_ = shown.split()
    assert name == "node2"
    assert int(pid) < 100
    kinds = ("net", "pid", "mnt", "uts", "ipc")
    seen = {node.id: [os.readlink(f"/proc/{node.status()['pid']}/ns/{kind}") for kind in kinds] for node in lab.nodes}
    here = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    for place, other in zip([here, *seen.values()], [*seen.values(), here], strict=True):
        assert all(a != b for a, b in zip(place, other, strict=True))


def test_a_pinned_lab_has_a_core_for_each_node(namespaces: bool) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    with labs.lab(2, namespaces=namespaces, pin=True, cluster=False) as running:
        program = "import os; print(*os.sched_getaffinity(0))"
        cores = [node.run([PYTHON, "-c", program]).stdout.split() for node in running.nodes]
    if namespaces:
        assert [len(one) for one in cores] == [1, 1]
        assert cores[0] != cores[1]


@pytest.mark.root
def test_an_ordinary_user_gets_nodes_on_loopback() -> None:
    users.as_nobody(_small_lab)


def _small_lab() -> None:
    with Lab(2) as running:
        assert not running.spec.namespaces
        assert json.loads(running.node(1).drvs("status", "--json"))["owner"] == users.NOBODY
        running.node(1).kill()
        running.node(1).restart()
    assert not os.path.exists(running.folder)


# ---- deaths ----


def supervisor_of(lab: Lab) -> int:
    """The pid of its supervisor."""
    return int(lab.status()["supervisor"])


def processes_of(lab: Lab) -> set[int]:
    """Everything of a lab that runs."""
    supervisor = supervisor_of(lab)
    return {supervisor} | procfs.descendants(supervisor)


def test_when_the_supervisor_is_killed_its_nodes_end_and_down_clears_the_rest(lab: Lab) -> None:
    everything = processes_of(lab)
    os.kill(supervisor_of(lab), signal.SIGKILL)
    nodes.wait_gone(everything)
    with pytest.raises(NoSuchLab, match="dead"):
        lab.status()
    lab.down()
    assert not os.path.exists(lab.folder)


def test_when_supervisor_and_first_processes_are_killed_down_ends_the_rest(lab: Lab) -> None:
    everything, first = processes_of(lab), [node.status()["pid"] for node in lab.nodes]
    for pid in (supervisor_of(lab), *first):
        os.kill(pid, signal.SIGKILL)
    lab.down()
    nodes.wait_gone(everything)


def test_when_a_first_process_is_killed_the_node_is_dead_and_the_others_live(lab: Lab) -> None:
    everything = procfs.descendants(lab.node(0).status()["pid"])
    os.kill(lab.node(0).status()["pid"], signal.SIGKILL)
    nodes.wait_gone(everything)
    assert json.loads(lab.node(1).drvs("status", "--json"))["node"] == 1
    lab.node(0).restart()
    assert lab.node(0).status()["state"] == "up"


def test_a_lab_ends_with_the_process_that_made_it(namespaces: bool, tmp_path: Path) -> None:
    before = labs.Traces()
    program = f"from drvs.lab import Lab; lab = Lab(2, namespaces={namespaces}); print(lab.folder, flush=True); input()"
    owner = subprocess.Popen([PYTHON, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder = owner.stdout.readline().strip()
    everything = procfs.descendants(owner.pid)
    owner.kill()
    owner.communicate()
    nodes.wait_gone(everything)
    assert not os.path.exists(folder)
    assert not labs.Traces().since(before)


def test_a_node_that_cannot_start_fails_the_lab_with_its_reason(namespaces: bool) -> None:
    with pytest.raises(LabError, match=r"node \d did not come up.*nr_procs"):
        Lab(2, namespaces=namespaces, options={"procs": 10**6})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "1 to 100 nodes"),
        ({"count": 101}, "1 to 100 nodes"),
        ({"count": 2, "transport": "pigeon"}, "no transport"),
        ({"count": 2, "transport": "nats"}, "needs a server"),
        ({"count": 2, "transport": "tipc", "namespaces": False}, "TIPC"),
        ({"count": 25, "namespaces": False}, "1 to 24 nodes"),
        ({"count": 99, "pin": True}, "cores"),
        ({"count": 2, "name": "a/b"}, "no name"),
        ({"count": 2, "name": "x" * 16}, "no name"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    options: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRVS_LAB_DIR", str(tmp_path))
    if os.geteuid() != 0 and "namespaces" not in options:
        options = {**options, "namespaces": False, "direct": True}
    with pytest.raises(LabError, match=words):
        Lab(**options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_down_where_there_is_nothing_says_so(tmp_path: Path) -> None:
    assert not launch.down(str(tmp_path / "nothing"))
