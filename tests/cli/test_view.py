"""drvs cat, ls, mount, umount: the guide's /proc/drvs from the command line."""

import errno
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import drvs
from drvs.procview import fuse
from drvs.procview.fuse import needs
from support import guide, nodes, procfs

FILES = ["info", "nodes", "proxies/info", "proxies/procs", "lab/info", "lab/procs", "lab/stats"]


@pytest.fixture(scope="module")
def shared() -> Iterator[nodes.RunningNode]:
    """A node with VM 'lab', in which nobody is bound."""
    with guide.node_of_a_module() as running, drvs.connect(running.runtime_dir) as connection:
        connection.create_vm("lab")
        yield running


def run(node: nodes.RunningNode, *arguments: str, status: int = 0) -> str:
    """Run `drvs` on the node, expect an exit status; its stdout, or its stderr if it failed."""
    done = nodes.drvs(*arguments, runtime_dir=node.runtime_dir)
    assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stderr if status else done.stdout


def test_without_a_path_all_files_are_listed(shared: nodes.RunningNode) -> None:
    for command in ("cat", "ls"):
        assert run(shared, command).splitlines() == FILES
        assert json.loads(run(shared, command, "--json")) == FILES


def test_directories_are_listed_with_a_slash_behind_directories(shared: nodes.RunningNode) -> None:
    assert run(shared, "ls", "lab").split() == ["info", "procs", "stats"]
    assert run(shared, "ls", "/proxies/").split() == ["info", "procs"]
    assert run(shared, "ls", "lab/info").split() == ["lab/info"]


def test_cat_prints_files_one_after_the_other(shared: nodes.RunningNode) -> None:
    one, other = run(shared, "cat", "info"), run(shared, "cat", "/lab/info")
    assert one.startswith("nodeid=0\nnr_vms=32\n")
    assert "vm_name=lab\n" in other
    assert run(shared, "cat", "info", "lab/info") == one + other


def test_json_has_the_objects(shared: nodes.RunningNode) -> None:
    with drvs.connect(shared.runtime_dir) as connection, connection.vm("lab").bind(5, name="five"):
        (process,) = json.loads(run(shared, "cat", "lab/procs", "--json"))
        assert (process["p_nr"], process["name"], process["pid"]) == (5, "five", os.getpid())
    both = json.loads(run(shared, "cat", "info", "nodes", "--json"))
    assert both["info"]["nr_vms"] == 32
    assert [row["name"] for row in both["nodes"]] == ["node0"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("nope", 5, "there is no 'nope'"),
        ("lab/info/x", 5, "`drvs ls`"),
        ("../info", 5, "there is no"),
        ("lab", 2, "directory of the view"),
        ("/", 2, "directory of the view"),
    ],
)
def test_what_is_no_file_is_said(shared: nodes.RunningNode, path: str, status: int, words: str) -> None:
    assert words in run(shared, "cat", path, status=status)


def test_without_a_node_it_says_how_to_start_one(tmp_path: Path) -> None:
    for command in ("cat", "ls", "mount"):
        done = nodes.drvs(command, *(["x"] if command == "mount" else []), runtime_dir=tmp_path)
        assert (done.returncode, "drvs up" in done.stderr) == (3, True)


def complete(node: nodes.RunningNode | Path, words: str) -> list[str]:
    """What bash is offered after these words."""
    place = node if isinstance(node, Path) else node.runtime_dir
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "_DRVS_COMPLETE": "complete_bash"}
    return nodes.drvs(runtime_dir=place, **asked).stdout.split()


def test_paths_are_completed(shared: nodes.RunningNode, tmp_path: Path) -> None:
    assert complete(shared, "drvs cat lab/") == ["lab/info", "lab/procs", "lab/stats"]
    assert complete(shared, "drvs cat in") == ["info"]
    assert complete(tmp_path, "drvs cat in") == []


@pytest.fixture
def needs_fuse() -> None:
    """Skip the test where the view cannot be mounted."""
    for what, _ in needs.missing():
        pytest.skip(what)


def test_mount_and_umount(shared: nodes.RunningNode, needs_fuse: None, tmp_path: Path) -> None:
    before = procfs.descendants(os.getpid())
    assert "is mounted on" in run(shared, "mount", str(tmp_path))
    started = procfs.descendants(os.getpid()) - before
    assert (tmp_path / "info").read_text() == run(shared, "cat", "info")
    assert "drvs umount" in run(shared, "mount", str(tmp_path), status=6)
    with open(tmp_path / "info"):
        assert "--lazy" in run(shared, "umount", str(tmp_path), status=6)
    assert run(shared, "umount", str(tmp_path)) == f"{tmp_path} is unmounted.\n"
    nodes.wait_gone(started)
    assert "no view is mounted" in run(shared, "umount", str(tmp_path), status=1)


def test_mount_in_the_foreground_ends_with_ctrl_c(shared: nodes.RunningNode, needs_fuse: None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "drvs.cli", "mount", "--foreground", str(tmp_path)]
    with (
        open("/proc/self/mountinfo") as changes,
        subprocess.Popen(command, env={**os.environ, "DRVS_RUNTIME_DIR": str(shared.runtime_dir)}) as running,
    ):
        poll = select.poll()
        poll.register(changes, select.POLLPRI | select.POLLERR)
        while str(tmp_path) not in fuse.mounted():
            assert poll.poll(20_000)
        assert (tmp_path / "info").read_text().startswith("nodeid=0\n")
        running.send_signal(2)
        assert running.wait(20) == 0
    assert str(tmp_path) not in fuse.mounted()
    with pytest.raises(OSError) as caught:
        os.rmdir(tmp_path / "info")
    assert caught.value.errno == errno.ENOENT


def test_what_the_host_lacks_is_said_in_two_lines(shared: nodes.RunningNode, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "view").mkdir()
    done = nodes.drvs("mount", str(tmp_path / "view"), runtime_dir=shared.runtime_dir, PATH=str(tmp_path / "bin"))
    assert done.returncode == 1
    assert "fuse" in done.stderr.splitlines()[0]
    assert "nstall" in done.stderr.splitlines()[1]
