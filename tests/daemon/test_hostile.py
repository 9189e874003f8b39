"""Clients that mean harm: any bytes, any size, many connections, slow readers. noded answers, and lives on."""

import array
import os
import random
import socket
from pathlib import Path

import pytest

from drvs.base import paths
from drvs.base.codes import Code
from drvs.daemon import packets
from drvs.daemon.client import Client
from drvs.daemon.protocol import OPS
from support import nodes
from support.children import spawn
from support.users import as_nobody, spawn_as_nobody

from daemon.helpers import bind, end, refused, wait_until


def connect(runtime_dir: Path | str) -> socket.socket:
    """A raw connection to noded."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(os.path.join(runtime_dir, paths.SOCKET))
    sock.settimeout(20)
    return sock


def ask(sock: socket.socket, packet: bytes) -> tuple[int, str]:
    """Send any bytes and return the answer's code and reason."""
    sock.send(packet)
    answer, fds = packets.receive_answer(sock)
    assert not fds
    return answer["code"], answer["error"] or ""


@pytest.mark.parametrize(
    ("packet", "code", "reason"),
    [
        (b"\x00", Code.INVAL, "this is not a request"),
        (b"\xff\xfe\xfd", Code.INVAL, "this is not a request"),
        (b"[" * 60_000, Code.INVAL, "this is not a request"),
        (b"{}", Code.INVAL, "version 0"),
        (b'{"v":2,"op":"hello"}', Code.INVAL, "speaks version 2"),
        (b'{"v":"1","op":"hello"}', Code.INVAL, "this is not a request"),
        (b'{"v":1}', Code.NOSYS, "no call ''"),
        (b'{"v":1,"op":"selfdestruct"}', Code.NOSYS, "no call 'selfdestruct'"),
        (b'{"v":1,"op":["hello"]}', Code.INVAL, "this is not a request"),
        (b'{"v":1,"op":"bind"}', Code.INVAL, "vmid"),
        (b'{"v":1,"op":"bind","vmid":"0"}', Code.INVAL, "vmid"),
        (b'{"v":1,"op":"bind","vmid":0,"extra":1}', Code.INVAL, "extra"),
        (b'{"v":1,"op":"bind","vmid":1e999}', Code.INVAL, ""),
        (b'{"v":1,"op":"bind","vmid":' + b"9" * 5000 + b"}", Code.INVAL, ""),
        (b'{"v":1,"op":"lookup","vmid":0,"name":"\\ud800"}', Code.INVAL, ""),
    ],
)
def test_bytes_that_are_no_request_get_a_reason(
    node: nodes.RunningNode, packet: bytes, code: Code, reason: str
) -> None:
    with connect(node.runtime_dir) as sock:
        got, text = ask(sock, packet)
        assert Code(got) is code
        assert reason in text
        assert ask(sock, b'{"v":1,"op":"hello"}')[0] == 0


def test_an_oversize_packet_gets_a_reason(node: nodes.RunningNode) -> None:
    with connect(node.runtime_dir) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        code, text = ask(sock, b" " * 70_000)
        assert (code, "65536" in text) == (Code.INVAL, True)
        assert ask(sock, b'{"v":1,"op":"hello"}')[0] == 0


def test_an_empty_packet_is_a_goodbye(node: nodes.RunningNode) -> None:
    with connect(node.runtime_dir) as sock:
        sock.send(b"")
        assert sock.recv(10) == b""


def test_descriptors_that_are_sent_are_not_kept(node: nodes.RunningNode) -> None:
    pid = node.noded_pid
    before = len(os.listdir(f"/proc/{pid}/fd"))
    with connect(node.runtime_dir) as sock, open(os.devnull) as nothing:
        for _ in range(20):
            rights = array.array("i", [nothing.fileno()] * 50)
            sock.sendmsg([b'{"v":1,"op":"hello"}'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            assert packets.receive_answer(sock)[0]["code"] == 0
        assert len(os.listdir(f"/proc/{pid}/fd")) <= before + 1


def test_random_requests_never_stop_noded(node: nodes.RunningNode, client: Client, lab: int) -> None:
    dice = random.Random(20)
    bind(client, lab, p_nr=1)
    pid = node.noded_pid
    ops = sorted(OPS - {"shutdown", "drvs_end", "vm_end"})
    numbers = [0, 1, -1, 2**31, -(2**31), 2**63 - 1, 2**64 - 1]
    values = [*numbers, "", "x", "x" * 300, None, True, 1.5, [], {}, "\0", "lab"]
    names = [
        "vmid",
        "endpoint",
        "pid",
        "tid",
        "p_nr",
        "name",
        "node",
        "kind",
        "value",
        "dst",
        "as_p_nr",
        "src_slot",
        "dst_slot",
        "src_address",
        "dst_address",
        "bytes",
        "mask",
        "lines",
        "cookie",
        "id",
        "calls",
        "ipc_to",
        "incarnation",
    ]
    with connect(node.runtime_dir) as sock:
        for _ in range(3000):
            fields = {name: dice.choice(values) for name in dice.sample(names, dice.randrange(5))}
            packet = packets.encode({"v": 1, "op": dice.choice(ops), **fields, "timeout_ms": 0})
            if dice.random() < 0.2:
                packet = packet[: dice.randrange(1, len(packet))]
            ask_anything(sock, packet if dice.random() < 0.5 else packet.replace(b',"timeout_ms":0', b""))
    assert node.noded_pid == pid
    assert "fault" not in "\n".join(client.call("log", lines=5000)["lines"])


def ask_anything(sock: socket.socket, packet: bytes) -> None:
    """Ask, and do not care about the answer; what would wait for ever is not asked."""
    if b"wait4" in packet and b"timeout_ms" not in packet:
        return
    sock.send(packet)
    _, fds = packets.receive_answer(sock)
    for fd in fds:
        os.close(fd)


def test_a_slow_reader_holds_up_nobody(node: nodes.RunningNode, client: Client, lab: int) -> None:
    with connect(node.runtime_dir) as slow:
        slow.setblocking(False)
        try:
            for _ in range(100_000):
                slow.send(b'{"v":1,"op":"status"}')
        except BlockingIOError:
            pass
        assert client.call("hello")["node"] == 0
        slow.settimeout(20)
        for _ in range(10):
            assert packets.receive_answer(slow)[0]["code"] == 0


def _opens_many(runtime_dir: str, count: int) -> tuple[int, str]:
    socks = [connect(runtime_dir) for _ in range(count)]
    answer, _ = packets.receive_answer(socks[-1])
    return answer["code"], answer["error"]


@pytest.mark.root
def test_connections_are_counted_per_user(
    runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRVS_LIMITS", "clients_per_uid=20")
    running = nodes.start(runtime_dir)
    code, text = as_nobody(_opens_many, str(runtime_dir), 21)
    assert code == Code.BUSY
    assert "20 of user 65534" in text
    with Client(runtime_dir) as client:
        assert client.call("hello")["node"] == 0
    end(running)


def test_thousands_of_connections_are_taken_or_turned_away(node: nodes.RunningNode, client: Client) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(4000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, hard))
    socks = [connect(node.runtime_dir) for _ in range(count)]
    assert ask(socks[-1], b'{"v":1,"op":"hello"}')[0] == 0
    assert client.call("hello")["node"] == 0
    for sock in socks:
        sock.close()
    wait_until(lambda: len(os.listdir(f"/proc/{node.noded_pid}/fd")) < 100, "all are closed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_noded_out_of_descriptors_serves_whom_it_has(node: nodes.RunningNode, client: Client, lab: int) -> None:
    import resource

    client.call("hello")
    pid = node.noded_pid
    held = len(os.listdir(f"/proc/{pid}/fd"))
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + 5, limits[1]))
    socks = [connect(node.runtime_dir) for _ in range(20)]
    assert client.call("vm_list")["vms"][0]["name"] == "lab"
    refused(client, Code.NOMEM, "vm_init", name="more")
    for sock in socks:
        sock.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    wait_until(lambda: client.call("vm_init", name="more", check=False).code == 0, "there is room again")


@pytest.mark.root
def test_waits_are_counted_per_user(runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRVS_LIMITS", "waits_per_uid=5")
    running = nodes.start(runtime_dir)
    child = spawn_as_nobody(_waits_often, str(runtime_dir))
    assert child.result() == Code.NOMEM
    end(running)


def _waits_often(_me, runtime_dir: str) -> int:
    socks = [connect(runtime_dir) for _ in range(6)]
    for sock in socks:
        sock.send(b'{"v":1,"op":"wait4bind"}')
    return int(packets.receive_answer(socks[-1])[0]["code"])


def test_an_inherited_connection_does_not_speak_for_a_process_that_is_gone(
    client: Client, lab: int, node: nodes.RunningNode
) -> None:
    left, right = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        sock = connect(node.runtime_dir)
        socket.send_fds(right, [b"x"], [sock.fileno()])
        os._exit(0)
    _, (fd, *_), _, _ = socket.recv_fds(left, 1, 1)
    os.waitpid(pid, 0)
    with socket.socket(fileno=fd) as sock, left, right:
        sock.settimeout(20)
        code, text = ask(sock, packets.encode({"v": 1, "op": "bind", "vmid": lab}))
        assert (Code(code), "ended" in text) == (Code.BADPROC, True)


# ---- copies for others -------------------------------------------------------------------------------------------


def _address_of_secret(me, runtime_dir: str) -> None:
    import ctypes

    secret = ctypes.create_string_buffer(b"secret")
    me.say(ctypes.addressof(secret))
    me.hear()


def _copies(me, runtime_dir: str, vmid: int) -> int:
    with Client(runtime_dir) as client:
        me.say("ready")
        own = client.call("wait4bind", region=False)
        address = int(me.hear())
        fields = {
            "src_slot": 67 + 3,
            "src_address": address,
            "dst_slot": own["slot"],
            "dst_address": address,
            "bytes": 6,
        }
        return client.call("copy", vmid=vmid, check=False, **fields).code


@pytest.mark.root
def test_noded_copies_for_a_user_only_between_processes_of_that_user(
    client: Client, lab: int, node: nodes.RunningNode
) -> None:
    victim = spawn_as_nobody(_address_of_secret, str(node.runtime_dir), uid=65533)
    address = victim.wait_line()
    thief = spawn_as_nobody(_copies, str(node.runtime_dir), lab)
    thief.wait_line("ready")
    bind(client, lab, kind="local", pid=victim.pid, p_nr=3)
    bind(client, lab, kind="local", pid=thief.pid, p_nr=4)
    thief.tell(address)
    assert thief.result() == Code.PERM


def test_noded_copies_between_processes_for_root(client: Client, lab: int, node: nodes.RunningNode) -> None:
    import ctypes

    source = spawn(_address_of_secret, str(node.runtime_dir))
    address = int(source.wait_line())
    bind(client, lab, kind="local", pid=source.pid, p_nr=3)
    own = bind(client, lab, p_nr=4)
    buffer = ctypes.create_string_buffer(16)
    fields = {"vmid": lab, "src_slot": 70, "dst_slot": own["slot"], "dst_address": ctypes.addressof(buffer)}
    client.call("copy", src_address=address, bytes=6, **fields)
    assert buffer.value == b"secret"
    refused(client, Code.RANGE, "copy", src_address=address, bytes=524289, **fields)
    refused(client, Code.RANGE, "copy", src_address=address, bytes=-1, **fields)
    refused(client, Code.FAULT, "copy", src_address=0, bytes=6, **fields)
    refused(client, Code.FAULT, "copy", src_address=(1 << 64) - 3, bytes=6, **fields)
    refused(client, Code.SRCDIED, "copy", src_address=address, bytes=6, **(fields | {"src_slot": 100}))
    refused(client, Code.DSTDIED, "copy", src_address=address, bytes=6, **(fields | {"dst_slot": -1}))
