"""The library's client of noded: its JSON, the node it finds, answers that make no sense, copies by noded."""

import contextlib
import ctypes
import json
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import drvs
from drvs.base import paths
from support import cface, children, cprograms
from support.nodes import RunningNode

PROGRAMS = Path(__file__).parent / "programs"
LIB = cprograms.ROOT / "csrc" / "lib"


def compiled(name: str, *sources: str) -> Path:
    """A program over single files of the library, with sanitizers."""
    target = Path(cprograms.folder().name) / name
    files = [PROGRAMS / f"{name}.c", *(LIB / source for source in sources)]
    done = cprograms.gcc("-std=gnu11", "-g", "-O1", *cprograms.SANITIZE, *files, "-o", target)
    assert done.returncode == 0, done.stderr
    return target


# ---- JSON ------------------------------------------------------------------------------------------------

GOOD = [
    b"{}",
    b' { "n" : -12 , "s" : "a" } ',
    b'{"n":0,"s":"\\u00e9\\n\\"\\\\","x":[1,2,{"y":[]}],"z":null,"t":true,"f":false}',
    b'{"s":"\\ud83d\\ude00","n":9223372036854775807}',
    b'{"n":1.5e3,"s":"\xc3\xa9"}',
    b'{"a":{"n":5},"n":7}',
    b'{"n":-0}',
]
BAD = [
    b"", b"{", b"[]", b"1", b'{"n":01}', b'{"n":+1}', b'{"n":1,}', b'{,}', b'{"n" 1}', b'{"s":"\x01"}', b'{"s":"\\x"}',
    b'{"s":"\\ud800"}', b'{"s":"\xff"}', b'{"s":"\xc0\x80"}', b'{"n":1}x', b'{"n":tru}', b"{'n':1}", b'{"n":.5}',
    b'{"n":1.}', b'{"s":"abc', b'{"s":"\\u12', b'{"n":1e}', b'{"s":"\xed\xa0\x80"}',
]  # fmt: skip
ALPHABET = b'{}[]:,"\\u0123456789eE+-.ntfa \xc3\xa9\xed\x00'


def mutated() -> list[bytes]:
    """Good documents with bytes changed, dropped and doubled: always the same."""
    chance, found = random.Random(3), []
    for _ in range(4000):
        document = bytearray(chance.choice(GOOD))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(document) + 1)
            document[at : at + chance.randint(0, 2)] = bytes(chance.choices(ALPHABET, k=chance.randint(0, 2)))
        found.append(bytes(document))
    return found


def python_accepts(document: bytes) -> bool:
    """What Python's own reader says, held to objects and to real characters."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        value = json.loads(document.decode(), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, UnicodeError, RecursionError):
        return False
    return isinstance(value, dict)


def c_answers(documents: list[bytes]) -> list[list[str]]:
    """What the library's reader says of each: ["0"], or ["1", n, s in hexadecimal]."""
    program = compiled("json_check", "json_read.c")
    packed = b"".join(b"%d\n%s" % (len(document), document) for document in documents)
    done = subprocess.run([program], input=packed, capture_output=True, check=True)
    return [line.split(" ") for line in done.stdout.decode().splitlines()]


def test_the_reader_of_answers_accepts_what_is_json() -> None:
    answers = c_answers(GOOD)
    texts = [bytes.fromhex(text).decode() for _, _, text in answers]
    assert [int(number) for _, number, _ in answers] == [0, -12, 0, 2**63 - 1, 0, 7, 0]
    assert texts == ["", "a", '\u00e9\n"\\', "\U0001f600", "\u00e9", "", ""]


def test_the_reader_of_answers_refuses_all_else() -> None:
    documents = BAD + mutated()
    answers = c_answers(documents)
    assert len(answers) == len(documents)
    wrong = [d for d, answer in zip(documents, answers, strict=True) if (answer[0] == "1") != python_accepts(d)]
    assert wrong == []


def test_answers_may_not_be_nested_without_end() -> None:
    assert c_answers([b'{"a":' * 40 + b"1" + b"}" * 40, b'{"a":' + b"[" * 100_000]) == [["0"], ["0"]]


# ---- the node it finds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [
        {}, {"DRVS_NODE": "3"}, {"DRVS_NODE": " 0 "}, {"DRVS_NODE": ""}, {"DRVS_RUNTIME_DIR": "/tmp/x"},
        {"XDG_RUNTIME_DIR": "/run/user/5"}, {"XDG_RUNTIME_DIR": "/run/user/5", "DRVS_NODE": "4095"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("uid", [0, 65534])
def test_the_node_is_found_by_the_rules_of_python(
    environment: dict[str, str], uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs euid 0")
    for name in ("DRVS_NODE", "DRVS_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    expected = os.path.join(paths.find_runtime_dir(), paths.SOCKET)
    monkeypatch.undo()
    program = compiled("where", "paths.c")
    program.parent.chmod(0o755)
    found = subprocess.run(
        [program], env=environment | {"PATH": os.environ["PATH"]}, user=uid, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == expected


@pytest.mark.parametrize("node", ["x", "4096", "-1", "1 2"])
def test_a_node_that_is_no_number_is_refused(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRVS_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("DRVS_NODE", node)
    mnx = cface.module()
    assert mnx.mnx_getep(1) == mnx.EMOLBADNODEID


# ---- a daemon that talks nonsense ------------------------------------------------------------------------


@contextlib.contextmanager
def daemon_that_answers(folder: Path, answer: bytes) -> Iterator[None]:
    """Somebody on the socket who answers every request with these bytes, and hangs up on an empty answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(folder / paths.SOCKET))
        listener.listen()
        open_ones = [listener]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                open_ones.append(connection)
                with connection:
                    while connection.recv(4096):
                        if not answer:
                            break
                        connection.send(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        for each in open_ones:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"hello", -99), (b"{}", -99), (b'{"v":1,"code":"x"}', -99), (b'{"v":1,"code":7}', -99), (b"\x00" * 100, -99),
        (b'{"v":1,"code":-310,"error":"no"}', -310), (b"", -318), (b"[" * 60_000, -99),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_answers_that_make_no_sense_give_a_code(runtime_dir: Path, answer: bytes, code: int) -> None:
    with daemon_that_answers(runtime_dir, answer):
        assert cface.module().mnx_getep(1) == code


def test_an_answer_without_a_region_is_refused(runtime_dir: Path) -> None:
    with daemon_that_answers(
        runtime_dir, b'{"v":1,"code":0,"error":null,"slot":70,"incarnation":1,"endpoint":3,"vmid":0}'
    ):
        child = children.spawn(lambda me: cface.module().mnx_bind(0, 3))
        assert child.result() == -99


# ---- copies that Linux leaves to noded -------------------------------------------------------------------


def offer(me: children.Me, vm: drvs.VM) -> None:
    """Wait in a receive, with a block that others may copy."""
    block = ctypes.create_string_buffer(b"sixty-four bytes of another process".ljust(64, b"."))
    with vm.bind(slot=5) as endpoint:
        me.say(ctypes.addressof(block))
        endpoint.receive()


@pytest.mark.root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv (util-linux)")
def test_noded_copies_for_a_process_that_linux_refuses(node: drvs.Node, shared_node: RunningNode) -> None:
    """A process without CAP_SYS_PTRACE may not read one that has more capabilities than itself."""
    program = cprograms.build(PROGRAMS / "copier.c")
    with node.create_vm("refused") as vm:
        server = children.spawn(offer, vm)
        address = server.wait_line()
        while not vm.process(5).rts & drvs.Rts.RECEIVING:
            pass
        words = ["setpriv", "--bounding-set=-sys_ptrace", str(program), str(int(vm.id)), "5", str(server.pid), address]
        done = subprocess.run(
            words, env=cprograms.environment(shared_node.runtime_dir), capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines() == ["forbidden", "0", "sixty-four bytes of another process".ljust(64, ".")], (
            done
        )
