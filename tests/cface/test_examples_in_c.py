"""Every example in C runs: linked either way, under valgrind, and with sanitizers; and C talks with Python."""

import subprocess
from pathlib import Path

import pytest

import drvs
from drvs.base import native
from support import children, cprograms
from support.nodes import RunningNode

FOLDER = cprograms.ROOT / "examples" / "c"

GONE = [
    line
    for how, after in (("unbinds", ["  after unbinding: 0"]), ("exits", []))
    for line in [
        f"the peer {how}",
        *(
            line
            for way in (
                "send, not yet taken", "sendrec, not yet taken", "sendrec, taken but not answered",
                "receive from it alone", "sendrec_T, taken but not answered",
            )
            for line in [f"  {way}: as promised", *after]
        ),
    ]
]  # fmt: skip

OUTPUT = {
    "echo": ["40 + 1 = 41", "40 + 2 = 42", "40 + 3 = 43", "server ended with 0"],
    "notify": [
        "a process, twice: type 0x100b from 11, argument 7", "no other: 0",
        "on behalf of another: type 0x100c from 12, argument 0", "the hardware: type 0x1000 from -1, argument 0",
        "woken up: 0",
    ],
    "vcopy": ["the requester has a", "too much: 0", "alice has r", "bob has r"],
    "gone": GONE,
    "threads": [
        "before the main thread is bound: 0", "the process's endpoint, in a thread: 10", "nothing waits: 0",
        "4 threads, 100 calls each",
    ],
    "fork_exec": [
        "after fork: 0", "bound by the parent: endpoint 20", "after exec: endpoint 20",
        "type 2 from 20; the child ended with 0", "the parent still is 10",
    ],
}  # fmt: skip

QUICK = {("shared", name) for name in OUTPUT} | {("address", "vcopy"), ("valgrind", "echo"), ("static", "threads")}
CASES = [
    pytest.param(variant, name, marks=() if (variant, name) in QUICK else pytest.mark.slow, id=f"{name}-{variant}")
    for variant in cprograms.VARIANTS
    for name in OUTPUT
]


def test_every_example_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.c")} == {*OUTPUT, "client", "server"}


@pytest.mark.parametrize(("variant", "name"), CASES)
def test_example(variant: str, name: str, shared_node: RunningNode) -> None:
    if reason := cprograms.missing(variant):
        pytest.skip(reason)
    program = cprograms.build(FOLDER / f"{name}.c", variant)
    done = cprograms.run(program, runtime_dir=shared_node.runtime_dir, variant=variant)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(OUTPUT[name])
    assert not done.stderr


# ---- with Python at the other end -----------------------------------------------------------------------------------


def add_for_one_client(me: children.Me, vm: drvs.VM) -> None:
    """A server in Python."""
    with vm.bind(slot=5) as endpoint:
        me.say("bound")
        request = endpoint.receive_request()
        request.m1_i3 = request.m1_i1 + request.m1_i2
        endpoint.reply(request, request)


def test_a_client_in_c_calls_a_server_in_python(node: drvs.Node, shared_node: RunningNode) -> None:
    with node.create_vm("mixed") as vm:
        server = children.spawn(add_for_one_client, vm)
        server.wait_line("bound")
        client = cprograms.build(FOLDER / "client.c")
        done = cprograms.run(client, int(vm.id), 5, 40, 2, runtime_dir=shared_node.runtime_dir)
        assert (done.returncode, done.stdout) == (0, "40 + 2 = 42\n"), done.stderr
        server.result()


def test_a_client_in_python_calls_a_server_in_c(node: drvs.Node, shared_node: RunningNode) -> None:
    program = cprograms.build(FOLDER / "server.c")
    with node.create_vm("mixed") as vm:
        command = [program, str(int(vm.id)), "7"]
        environment = cprograms.environment(shared_node.runtime_dir)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "7\n"
            with vm.bind() as client:
                answers = [client.sendrec(7, drvs.Message(m1_i1=i, m1_i2=1), timeout=5).m1_i3 for i in range(100)]
            assert answers == list(range(1, 101))
            vm.end()
            assert server.wait(10) == 0


def test_a_program_in_cpp_builds_without_a_warning_and_runs(tmp_path: Path, shared_node: RunningNode) -> None:
    strict = ["-std=c++17", "-x", "c++", *cprograms.WARNINGS, *native.cflags(), FOLDER / "echo.c", "-x", "none"]
    done = cprograms.gcc(*strict, *native.libs(), "-o", tmp_path / "echo", compiler="g++")
    assert done.returncode == 0, done.stderr
    ran = cprograms.run(tmp_path / "echo", runtime_dir=shared_node.runtime_dir)
    assert ran.stdout.splitlines() == OUTPUT["echo"]


def test_old_sources_build_unchanged(tmp_path: Path, node: drvs.Node, shared_node: RunningNode) -> None:
    """As M3-IPC's own test programs are written: relative includes, addresses as long, later names, void main."""
    source = Path(__file__).parent / "programs" / "old_style.c"
    (tmp_path / "tests").mkdir()
    copied = tmp_path / "tests" / "old_style.c"
    copied.write_bytes(source.read_bytes())
    done = cprograms.gcc("-std=gnu89", *native.cflags(compat=True), copied, *native.libs(), "-o", tmp_path / "old")
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    ran = cprograms.run(tmp_path / "old", runtime_dir=shared_node.runtime_dir)
    assert ran.stdout.splitlines() == [
        "local_nodeid=0",
        "dcid=0 name=DC0 flags=0",
        "SERVER m_source=11 m_type=255 m1_i1=1",
        "CLIENT m1_i1=2",
        "copied 32",
    ], ran.stderr
