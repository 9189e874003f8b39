"""Processes and threads that die are unbound, by pidfd or by looking, and who waits on them goes on."""

import os
import signal
import threading
from pathlib import Path

import pytest

from drvs.base.codes import Code
from drvs.core import Message
from drvs.core._core import RECEIVE, SENDREC
from drvs.daemon.client import Client
from support import nodes
from support.children import spawn

from daemon.helpers import bind, end, holder_program, open_endpoint, wait_until

WAYS = ["", "pidfd_thread", "pidfd", "peerpidfd", "pidfd,peerpidfd"]


@pytest.fixture(params=WAYS, ids=lambda way: way or "all features")
def way(request: pytest.FixtureRequest, runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch):
    """A node with some features disabled, and its client; scans come quickly."""
    monkeypatch.setenv("DRVS_DISABLE", request.param)
    monkeypatch.setenv("DRVS_LIMITS", "tick_ms=50")
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        yield client
    end(running)


def test_a_killed_process_is_unbound_and_its_callers_go_on(way: Client, runtime_dir: Path) -> None:
    server = spawn(holder_program, str(runtime_dir), 0, 3)
    server.wait_line("3")
    me = open_endpoint(way.call("bind", vmid=0))
    threading.Timer(0.1, server.send_signal, [signal.SIGKILL]).start()
    assert me.raw(SENDREC, 3, Message(), 20_000) == Code.DSTDIED
    assert me.raw(RECEIVE, 3, Message(), 0) == Code.SRCDIED
    way.call("wait4unbind", vmid=0, endpoint=3, timeout_ms=20_000)
    me.close()


def test_a_thread_that_ends_is_unbound_while_its_process_lives(way: Client) -> None:
    main = bind(way, 0)["endpoint"]
    bound, release = threading.Event(), threading.Event()
    endpoints: list[int] = []

    def work() -> None:
        endpoints.append(bind(way, 0, kind="thread", tid=threading.get_native_id())["endpoint"])
        bound.set()
        release.wait()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(endpoints) == 3, "all are bound")
    release.set()
    for thread in threads:
        thread.join()
    for endpoint in endpoints:
        way.call("wait4unbind", vmid=0, endpoint=endpoint, timeout_ms=20_000)
    assert way.call("getep", pid=os.getpid())["endpoint"] == main


def test_a_process_dies_with_all_its_threads_endpoints(way: Client, runtime_dir: Path) -> None:
    child = spawn(_binds_many_threads, str(runtime_dir), 40)
    child.wait_line("bound")
    assert way.call("status")["endpoints"] == 41
    child.kill()
    wait_until(lambda: way.call("status")["endpoints"] == 0, "all are unbound")
    assert way.call("audit", vmid=0)["findings"] == []
    assert way.call("status")["watched"] == {"pidfds": 0, "scanned": 0}


def _binds_many_threads(me, runtime_dir: str, count: int) -> None:
    barrier = threading.Barrier(count + 1)

    def work(client: Client) -> None:
        bind(client, 0, kind="thread", tid=threading.get_native_id())
        barrier.wait()
        threading.Event().wait()

    with Client(runtime_dir) as client:
        bind(client, 0)
        for _ in range(count):
            threading.Thread(target=work, args=(client,), daemon=True).start()
        barrier.wait()
        me.say("bound")
        me.hear()


def test_a_process_whose_first_thread_has_ended_lives_on(way: Client, runtime_dir: Path) -> None:
    child = spawn(_loses_its_first_thread, str(runtime_dir))
    endpoint = int(child.wait_line())
    child.wait_line("first thread is gone")
    wait_until(lambda: _state(child.pid) == "Z", "the leader is a zombie")
    way.call("vm_init", name="later")
    assert way.call("wait4unbind", vmid=0, endpoint=endpoint, timeout_ms=300, check=False).code == Code.TIMEDOUT
    child.send_signal(signal.SIGKILL)
    way.call("wait4unbind", vmid=0, endpoint=endpoint, timeout_ms=20_000)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _loses_its_first_thread(me, runtime_dir: str) -> None:
    import ctypes

    with Client(runtime_dir) as client:
        me.say(bind(client, 0)["endpoint"])
    threading.Thread(target=lambda: (me.say("first thread is gone"), threading.Event().wait()), daemon=True).start()
    ctypes.CDLL(None).syscall(60, 0)  # exit(2), of this thread alone


def test_descriptors_that_run_short_are_made_up_for_by_looking(
    runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRVS_LIMITS", "tick_ms=50,fd_reserve=1000000000")
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        client.call("vm_init", name="lab")
        child = spawn(holder_program, str(runtime_dir), 0, 3)
        child.wait_line("3")
        assert client.call("status")["watched"] == {"pidfds": 0, "scanned": 1}
        child.kill()
        client.call("wait4unbind", vmid=0, endpoint=3, timeout_ms=20_000)
    end(running)


def test_a_flood_of_deaths_is_survived(client: Client, lab: int, node: nodes.RunningNode) -> None:
    for _ in range(4):
        children = [spawn(holder_program, str(node.runtime_dir), lab) for _ in range(25)]
        for child in children:
            child.wait_line()
        for child in children:
            child.send_signal(signal.SIGKILL)
        wait_until(lambda: client.call("status")["endpoints"] == 0, "all are unbound")
        for child in children:
            child.wait()
    assert client.call("audit", vmid=lab)["findings"] == []
