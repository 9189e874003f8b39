"""Programs with drvs.hooks are asked before their image is made, and put right in every process restored from it."""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from drvs.procspace import image
from support import images, users

ANSWERS = """
print('ready', flush=True)
for line in sys.stdin:
    print(json.dumps(answer()), flush=True)
"""

ORDER = """
import io, json, sys
import drvs.hooks
log = []
sys.stderr = io.StringIO()
@drvs.hooks.before_dump
def one(): log.append('before one')
@drvs.hooks.before_dump
def two(): log.append('before two')
@drvs.hooks.after_restore
def three(info): log.append(['after three', *info[:2], info.restored])
@drvs.hooks.after_restore
def broken(info): raise LookupError('in a hook')
drvs.hooks.after_restore(lambda info: log.append('after four'))
def answer(): return log + ['shown'] * ('LookupError: in a hook' in sys.stderr.getvalue())
"""


def hooked(source: str) -> images.Program:
    """Start a program that answers each line with what its function `answer` returns."""
    program = images.python(source + ANSWERS)
    assert program.line() == "ready"
    return program


def test_hooks_run_in_their_order_in_the_original_and_in_each_copy(tmp_path: Path, nothing_left: None) -> None:
    with hooked(ORDER) as program:
        file = images.dumped(program.pid, tmp_path / "image")
        before = ["before two", "before one"]
        assert json.loads(program.ask()) == before
        with images.Restored(file) as restored:
            assert json.loads(restored.ask()) == [*before, ["after three", 0, 1, True], "after four", "shown"]
        with file.open("rb", buffering=0) as stream, image.Template(stream.fileno()) as made:
            for rank in range(3):
                with images.Copy(made, rank, 3) as copy:
                    assert json.loads(copy.ask()) == [*before, ["after three", rank, 3, True], "after four", "shown"]


def test_a_hook_that_fails_makes_no_image_and_the_program_goes_on(tmp_path: Path, nothing_left: None) -> None:
    source = "import json, sys, drvs.hooks\n@drvs.hooks.before_dump\ndef bad(): raise ValueError('not now')\n"
    with hooked(source + "def answer(): return 1") as program:
        with pytest.raises(image.Refused, match="ValueError: not now") as failed:
            images.dumped(program.pid, tmp_path / "image")
        assert "<string>:3" in str(failed.value)
        assert json.loads(program.ask()) == 1
        images.dumped(program.pid, tmp_path / "image", hooks=False)
        with images.Restored(tmp_path / "image") as restored:
            assert json.loads(restored.ask()) == 1


ASLEEP = {
    "sleep": "import time as clock; print('ready', flush=True); clock.sleep(1000)",
    "lock": "import threading; l = threading.Lock(); l.acquire(); print('ready', flush=True); l.acquire()",
    "loop": "import asyncio; print('ready', flush=True); asyncio.run(asyncio.Event().wait())",
    "read": "import os; print('ready', flush=True); os.read(0, 1)",
    "select": "import select; print('ready', flush=True); select.select([], [], [])",
    "join": "import threading; t = threading.Thread(target=threading.Event().wait, daemon=True); t.start()\n"
    "print('ready', flush=True); t.join()",
    "busy": "print('ready', flush=True)\nwhile True: pass",
    "busy thread": "import threading\ndef spin():\n    while True: pass\n"
    "threading.Thread(target=spin, daemon=True).start()\n"
    "print('ready', flush=True); threading.Event().wait()",
}


@pytest.mark.parametrize("where", ASLEEP)
def test_hooks_are_reached_wherever_the_main_thread_is(where: str, tmp_path: Path, nothing_left: None) -> None:
    source = "import drvs.hooks, sys\n@drvs.hooks.before_dump\ndef tell(): print('before', flush=True)\n"
    source += "@drvs.hooks.after_restore\ndef tell_again(info): print('after', flush=True)\n"
    with images.python(source + ASLEEP[where]) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image", hook_timeout_s=20)
        assert program.line() == "before"
        assert program.process.poll() is None
        with images.Restored(file) as restored:
            assert restored.line() == "after"


def test_a_long_call_in_c_does_not_reach_them_in_time(tmp_path: Path, nothing_left: None) -> None:
    # It says ready from within the call.
    source = "import drvs.hooks, itertools, os\nready = map(os.write, [1], [b'ready\\n'])\n"
    source += "sum(itertools.chain(ready, range(1 << 60)))"
    with images.python(source) as program:
        assert program.line() == "ready"
        with pytest.raises(image.Refused, match=r"did not come to run its hooks within 0\.2 s.*--no-hooks"):
            images.dumped(program.pid, tmp_path / "image", hook_timeout_s=0.2)
        assert program.process.poll() is None
        images.dumped(program.pid, tmp_path / "image", hooks=False)


def test_hooks_imported_by_another_thread_run_in_the_main_thread(tmp_path: Path, nothing_left: None) -> None:
    source = (
        "import importlib, json, sys, threading\nwhere = []\n"
        "t = threading.Thread(target=importlib.import_module, args=['drvs.hooks']); t.start(); t.join()\n"
        "sys.modules['drvs.hooks'].before_dump(lambda: where.append(threading.current_thread().name))\n"
        "def answer(): return where\n"
    )
    with hooked(source) as program:
        images.dumped(program.pid, tmp_path / "image")
        assert json.loads(program.ask()) == ["MainThread"]


STATE = """
import json, os, random, ssl, sys, tempfile, threading, uuid
import drvs.hooks
try:
    import numpy
except ImportError:
    numpy = None
random.seed(7); tempfile.mktemp(); uuid.uuid1()
threading.Thread(target=threading.Event().wait, daemon=True).start()
threading.Thread(target=threading.Event().wait, daemon=True).start()
def answer():
    streams = {'random': random.random(), 'ssl': ssl.RAND_bytes(8).hex()}
    streams |= {'uuid1': str(uuid.uuid1()), 'temp': tempfile.mktemp()}
    if numpy: streams['numpy'] = numpy.random.random()
    streams['uuid1 sequence'] = uuid.uuid1().clock_seq
    tasks = set(map(int, os.listdir('/proc/self/task')))
    return {'streams': streams, 'ids': [t.native_id in tasks for t in threading.enumerate()],
            'main': threading.main_thread().native_id == os.getpid()}
"""


def test_copies_have_random_state_and_thread_ids_of_their_own(tmp_path: Path, nothing_left: None) -> None:
    with hooked(STATE) as program:
        file = images.dumped(program.pid, tmp_path / "image")
        found = [json.loads(program.ask())]
        for _ in range(2):
            with images.Restored(file) as restored:
                found.append(json.loads(restored.ask()))
    for name in found[0]["streams"]:
        assert len({one["streams"][name] for one in found}) == 3, f"{name} is shared"
    assert all(one["ids"] == [True] * 3 and one["main"] for one in found)


@pytest.mark.root
def test_random_state_starts_anew_also_under_the_old_pid(tmp_path: Path, nothing_left: None) -> None:
    found = []
    with hooked(STATE) as program:
        file = images.dumped(program.pid, tmp_path / "image")
        found.append(json.loads(program.ask()))
        was = program.pid
    for _ in range(2):
        with images.Restored(file, "keep") as restored:
            assert restored.real_pid == was
            found.append(json.loads(restored.ask()))
    for name in found[0]["streams"]:
        assert len({one["streams"][name] for one in found}) == 3, f"{name} is shared"


def test_without_hooks_copies_share_their_random_state(tmp_path: Path, nothing_left: None) -> None:
    """So the tests above show what the hooks do."""
    with hooked(STATE) as program:
        file = images.dumped(program.pid, tmp_path / "image", hooks=False)
        found = json.loads(program.ask())
        with images.Restored(file) as restored:
            assert json.loads(restored.ask())["streams"]["random"] == found["streams"]["random"]


ASYNCIO = """
import asyncio, sys, threading
import drvs.hooks
pause = asyncio.sleep
async def nap():
    while True:
        await pause(0.01)
        asyncio.get_running_loop()
        turns[0] += 1
turns = [0]
threading.Thread(target=lambda: asyncio.run(nap()), daemon=True).start()
async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while await reader.readline():
        before = turns[0]
        while turns[0] < before + 3:
            await pause(0.01)
        got = await asyncio.gather(asyncio.to_thread(lambda: 42), asyncio.sleep(0, 1))
        print(*got, asyncio.get_running_loop() is loop, flush=True)
asyncio.run(main())
"""


def test_asyncio_loops_go_on_under_another_pid(tmp_path: Path, nothing_left: None) -> None:
    with images.python(ASYNCIO) as program:
        assert program.line() == "ready"
        assert program.ask() == "42 1 True"
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.ask() == "42 1 True"
        with images.Restored(file) as restored:
            assert restored.real_pid != program.pid
            assert restored.ask() == "42 1 True"


def test_copies_write_to_log_files_of_their_own(tmp_path: Path, nothing_left: None) -> None:
    log = tmp_path / "log"
    source = (
        f"import json, logging, os, sys\nimport drvs.hooks\nlogging.basicConfig(filename={str(log)!r}, filemode='w')\n"
        "logging.warning('first')\n"
        "def answer(): logging.warning('pid %d', os.getpid()); return sorted(os.listdir('/proc/self/fd'))[:-1]\n"
    )
    with hooked(source) as program:
        file = images.dumped(program.pid, tmp_path / "image")
        program.ask()
        with (
            file.open("rb", buffering=0) as stream, image.Template(stream.fileno()) as made,
            images.Copy(made, 0, 2) as one, images.Copy(made, 1, 2) as other,
        ):  # fmt: skip
            one.ask(), other.ask()
            pids = [program.pid, one.pid, other.pid]
        program.ask()
    lines = log.read_text().splitlines()
    assert lines[0] == "WARNING:root:first"
    assert [int(line.split()[-1]) for line in lines[1:]] == [*pids, pids[0]]


def test_what_waits_in_streams_is_written_once(tmp_path: Path, nothing_left: None) -> None:
    source = "import json, sys, drvs.hooks\nprint('not flushed', end=' ')\ndef answer(): return 1"
    with images.python(source + ANSWERS.replace("'ready', flush=True", "'ready'")) as program:
        while not Path(f"/proc/{program.pid}/syscall").read_text().startswith("0 0x0 "):
            pass  # until it reads its standard input
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.line() == "not flushed ready"
        with images.Restored(file) as restored:
            assert restored.ask() == "1"


READY = """
import os, sys
from drvs.procspace import image
info = image.ready()
print(*info[:2], info.argv[1:], info.environ.get('COLOUR'), os.environ.get('COLOUR'), sys.argv[1:], flush=True)
for line in sys.stdin: print(line, end='', flush=True)
"""


def test_ready_returns_at_once_in_an_ordinary_run(nothing_left: None) -> None:
    with images.python(READY) as program:
        assert program.line() == "0 1 [] None None []"


def test_ready_is_where_copies_start_with_what_they_are_given(tmp_path: Path, nothing_left: None) -> None:
    fd = os.open(tmp_path / "image", os.O_RDWR | os.O_CREAT, 0o600)
    environ = {**os.environ, "COLOUR": "blue"}
    image.ready_dump(fd, [sys.executable, "-c", READY, "own"], environ, timeout_s=30)
    os.lseek(fd, 0, os.SEEK_SET)
    with image.Template(fd, argv=["one", "twö"], environ={"COLOUR": "green"}) as made, images.Copy(made, 1, 2) as copy:
        assert copy.line() == "1 2 ['one', 'twö'] green green ['one', 'twö']"
    os.lseek(fd, 0, os.SEEK_SET)
    with image.Template(fd) as made, images.Copy(made, 0, 1) as copy:
        assert copy.line() == "0 1 ['own'] blue blue ['own']"
    os.close(fd)


def test_a_program_that_never_gets_ready_is_an_error(tmp_path: Path, nothing_left: None) -> None:
    with (tmp_path / "image").open("wb") as file:
        with pytest.raises(image.ImageError, match=r"ended \(3\) before it came to image\.ready"):
            image.ready_dump(file.fileno(), [sys.executable, "-c", "import sys; sys.exit(3)"])
        with pytest.raises(image.ImageError, match=r"within 0\.1 s"):
            image.ready_dump(file.fileno(), [sys.executable, "-c", "import signal; signal.pause()"], timeout_s=0.1)


BOUND = """
import json, os, sys
import drvs, drvs.hooks
node = drvs.connect()
ep = node.vm("lab").bind(name="dumped")
def answer():
    try:
        ep.receive(timeout=0)
    except drvs.DrvsError as error:
        return [ep.bound, type(error).__name__]
"""


def test_a_bound_process_keeps_its_binding_and_copies_start_unbound(
    vm: object, tmp_path: Path, nothing_left: None
) -> None:
    with hooked(BOUND) as program:
        assert json.loads(program.ask()) == [True, "WouldBlock"]
        file = images.dumped(program.pid, tmp_path / "image")
        assert json.loads(program.ask()) == [True, "WouldBlock"]
        with images.Restored(file) as restored:
            assert json.loads(restored.ask()) == [False, "NotBound"]
        assert json.loads(program.ask()) == [True, "WouldBlock"]


RECEIVING = """
import sys
import drvs, drvs.hooks
drvs.hooks.before_dump(lambda: print('before', flush=True))
ep = drvs.connect().vm("lab").bind(name="dumped")
print('ready', flush=True)
try:
    ep.receive()
except drvs.DrvsError as error:
    print(type(error).__name__, flush=True)
sys.stdin.read()
"""


def test_a_process_in_receive_is_reached_and_its_copy_leaves_the_call(
    vm: object, tmp_path: Path, nothing_left: None
) -> None:
    with images.python(RECEIVING) as program:
        assert program.line() == "ready"
        file = images.dumped(program.pid, tmp_path / "image")
        assert program.line() == "before"
        assert program.process.poll() is None
        with images.Restored(file) as restored:
            assert restored.line() == "NotBound"


def test_a_forked_child_has_a_mailbox_of_its_own(tmp_path: Path, nothing_left: None) -> None:
    source = (
        "import json, os, sys, drvs.hooks\npids = []\ndrvs.hooks.before_dump(lambda: pids.append(os.getpid()))\n"
        "child = os.fork()\n"
        "if child: print(child, flush=True); os.waitpid(child, 0); sys.exit()\n"
        "def answer(): return pids\n"
    )
    with images.python(source + ANSWERS) as program:
        lines = [program.line(), program.line()]
        child = int("".join(lines).replace("ready", ""))
        images.dumped(child, tmp_path / "image")
        assert json.loads(program.ask()) == [child]
        with images.Restored(tmp_path / "image") as restored:
            assert json.loads(restored.ask()) == [child]
        os.kill(child, signal.SIGKILL)
        program.process.wait(30)


def test_restored_programs_and_copies_have_mailboxes_too(tmp_path: Path, nothing_left: None) -> None:
    source = "import json, os, sys, drvs.hooks\nlog = []\ndrvs.hooks.before_dump(lambda: log.append('before'))\n"
    source += "drvs.hooks.after_restore(lambda info: log.append(info.rank))\ndef answer(): return log\n"
    with hooked(source) as program:
        file = images.dumped(program.pid, tmp_path / "first")
    with images.Restored(file) as restored:
        file = images.dumped(restored.real_pid, tmp_path / "second")
        assert json.loads(restored.ask()) == ["before", 0, "before"]
    with (
        file.open("rb", buffering=0) as stream, image.Template(stream.fileno()) as made,
        images.Copy(made, 5, 9) as copy,
    ):  # fmt: skip
        file = images.dumped(copy.pid, tmp_path / "third")
    with images.Restored(file) as restored:
        assert json.loads(restored.ask()) == ["before", 0, "before", 5, "before", 0]


def test_a_storm_of_signals_disturbs_neither_hooks_nor_waiting(tmp_path: Path, nothing_left: None) -> None:
    source = (
        "import json, signal, sys, drvs.hooks\nseen = [0]\n"
        "def count(*_): seen[0] += 1\n"
        "signal.signal(signal.SIGALRM, count); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
        "hooks = []\ndrvs.hooks.before_dump(lambda: hooks.append(1))\n"
        "def answer(): return [len(hooks), seen[0] > 0]\n"
    )
    with hooked(source) as program:
        for turn in range(1, 6):
            file = images.dumped(program.pid, tmp_path / "image")
            assert json.loads(program.ask()) == [turn, True]
        with images.Restored(file) as restored:
            assert json.loads(restored.ask()) == [5, True]


def test_an_interrupt_within_a_hook_interrupts_the_program(tmp_path: Path, nothing_left: None) -> None:
    source = (
        "import os, signal, sys, drvs.hooks\n"
        "drvs.hooks.before_dump(lambda: signal.raise_signal(signal.SIGINT))\n"
        "try:\n    print('ready', flush=True)\n    sys.stdin.read()\n"
        "except KeyboardInterrupt:\n    print('interrupted', flush=True)\nsys.stdin.read()"
    )
    with images.python(source) as program:
        assert program.line() == "ready"
        with pytest.raises(image.Refused, match="KeyboardInterrupt"):
            images.dumped(program.pid, tmp_path / "image")
        assert program.line() == "interrupted"


def test_a_thread_dumps_its_process_while_asyncio_runs(tmp_path: Path, nothing_left: None) -> None:
    file = tmp_path / "image"
    source = (
        "import asyncio, os, sys\nimport drvs.hooks\nfrom drvs.procspace import image\n"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)\n"
        "async def main():\n"
        "    done = await asyncio.to_thread(image.dump_self, fd)\n"
        "    print(done > 0, await asyncio.to_thread(lambda: 42), flush=True)\n"
        "    sys.stdin.read()\n"
        "asyncio.run(main())"
    )
    with images.Program([sys.executable, "-c", source, file]) as program:
        assert program.line() == "True 42"


@pytest.mark.root
def test_an_ordinary_user_needs_no_more_for_hooks(nothing_left: None) -> None:
    def work() -> list[object]:
        with tempfile.TemporaryDirectory() as folder, hooked(ORDER) as program:
            file = images.dumped(program.pid, Path(folder) / "image")
            with images.Restored(file) as restored:
                return [json.loads(program.ask()), json.loads(restored.ask())]

    before = ["before two", "before one"]
    assert users.as_nobody(work) == [before, [*before, ["after three", 0, 1, True], "after four", "shown"]]


def test_forks_see_one_thread_only(nothing_left: None) -> None:
    """Python warns of forks with threads since 3.12; ours is not there during one."""
    source = (
        "import os\ncount = lambda: len(os.listdir('/proc/self/task'))\n"
        "os.register_at_fork(before=lambda: print(count(), flush=True))\n"  # called last of all
        "import drvs.hooks\nprint(count(), flush=True)\npid = os.fork()\nif not pid: os._exit(count())\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), count(), flush=True)"
    )
    with images.python(source) as program:
        assert [program.line() for _ in range(3)] == ["2", "1", "2 2"]
