"""Runs in a guest, as root: what kernel.yama.ptrace_scope lets pass. Prints one JSON object a line.

At each value: a copy between two bound processes that are strangers to each other, on a node of an ordinary user, on
root's node by a process without the capability to read others, and all as root; and the image of a process that is no
child of the dumper.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import drvs
from drvs import Message, core
from drvs.api import endpoint
from drvs.daemon import launch
from support import users
from support.children import Child, Me, spawn

PATIENCE_S = 300.0
TEXT = b"over the fence"


def give(me: Me) -> None:
    """Offer a block, and wait until it has been read."""
    own = drvs.wait_for_bind(PATIENCE_S)
    with own.block(bytearray(TEXT)) as block:
        own.sendrec(5, Message(1, m1_p1=block.address, m1_i1=block.length), timeout=PATIENCE_S)


def take(me: Me) -> str:
    """Copy what the other offers; says how that went."""
    own = drvs.wait_for_bind(PATIENCE_S)
    request = own.receive_request(timeout=PATIENCE_S)
    mine = bytearray(request.m1_i1)
    try:
        own.copy((request.source, request.m1_p1), mine)
        outcome = "ok" if mine == TEXT else "wrong bytes"
    except drvs.DrvsError as error:
        outcome = f"{error.code.canonical}: {error}"
    own.reply(request, request)
    return outcome


def take_bereft(me: Me) -> str:
    """Copy as root who has lost the right to read any process's memory: noded has it."""
    users.drop_ptrace_capability()
    return take(me)


def copy_on_a_node(takes: Callable[..., str], start: Callable[..., Child]) -> str:
    """Start a node as the present user, and two processes; returns how `takes` could copy from one made by `start`."""
    core.set_error_factory(endpoint._error)
    with tempfile.TemporaryDirectory(prefix="yama-") as place:
        os.chmod(place, 0o755)
        os.environ["DRVS_RUNTIME_DIR"] = place
        launch.up(place)
        with drvs.connect(place) as node:
            vm = node.create_vm("lab")
            taking, giving = spawn(takes), start(give)
            vm.lclbind(taking.pid, slot=5)
            vm.lclbind(giving.pid)
            outcome = str(taking.result(PATIENCE_S))
            giving.result(PATIENCE_S)
        launch.down(place)
    return outcome


def image_of_a_stranger(start: Callable[..., Child]) -> str:
    """Dump a sibling; returns how that went."""
    from drvs.procspace.image.dumping import dump

    idle = start(lambda me: (me.say("here"), me.hear(PATIENCE_S)))
    idle.wait_line("here", PATIENCE_S)
    dumper = start(_dump_it, idle.pid, dump)
    outcome = str(dumper.result(PATIENCE_S))
    idle.close()
    return outcome


def _dump_it(me: Me, pid: int, dump: Callable[..., object]) -> str:
    with tempfile.TemporaryFile() as file:
        try:
            dump(pid, file.fileno(), everything=True, close_fds=True)
        except Exception as error:
            return f"{type(error).__name__}: {error} | {getattr(error, 'hint', '')}"
    return "ok"


def outcomes() -> dict[str, str]:
    """Everything at the present setting."""
    return {
        "copy, user's node": str(users.as_nobody(copy_on_a_node, take, spawn, timeout=PATIENCE_S)),
        "copy, root's node, without the capability": copy_on_a_node(take_bereft, users.spawn_as_nobody),
        "copy, all root": copy_on_a_node(take, spawn),
        "image, user": str(users.as_nobody(image_of_a_stranger, spawn, timeout=PATIENCE_S)),
        "image, root": image_of_a_stranger(spawn),
    }


def main() -> None:
    """Try every value; it can only be raised from 2 to 3."""
    for scope in (0, 1, 2, 3):
        Path("/proc/sys/kernel/yama/ptrace_scope").write_text(str(scope))
        print(json.dumps({"scope": scope, **outcomes()}), flush=True)


if __name__ == "__main__":
    main()
