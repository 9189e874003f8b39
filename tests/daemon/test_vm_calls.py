"""vm_init, vm_end, getvminfo, the dumps: guide 4.1.4 to 4.1.6, 4.1.12, 4.1.13."""

import fcntl
import os
import signal
from pathlib import Path

import pytest

from drvs.base.codes import Code
from drvs.base.flags import VmState
from drvs.core import Region
from drvs.daemon import vm as vm_module
from drvs.daemon.client import Client
from drvs.daemon.refusal import Refused
from drvs.daemon.vm import VmLimits, make_region
from support import nodes
from support.children import spawn
from support.covers import covers

from daemon.helpers import bind, end, holder_program, refused

USUAL = VmLimits(
    nr_procs=189, nr_tasks=67, nr_sysprocs=96, notes=1024, copy_len_max=524288, copy_buf=32768, nr_nodes=32,
    nr_proxies=32,
)  # fmt: skip


@covers("mnx_vm_init", "OK", "EMOLVMRUN", "EMOLEXIST")
@covers("mnx_getvminfo", "OK")
def test_a_vm_gets_what_it_asks_for_or_the_nodes_limits(client: Client) -> None:
    first = client.call("vm_init", vmid=5, name="five", nr_procs=40, nr_tasks=10, nr_sysprocs=20, nodes=0b110)
    second = client.call("vm_init", name="any")
    assert second["vmid"] == 0
    assert (first["nr_procs"], first["nr_tasks"], first["nr_sysprocs"], first["nodes"]) == (40, 10, 20, 0b111)
    assert (second["nr_procs"], second["nr_tasks"], second["nr_sysprocs"], second["nodes"]) == (189, 67, 96, 1)
    assert client.call("getvminfo", vmid=5)["name"] == "five"
    assert client.call("getvminfo", name="any")["vmid"] == 0
    assert client.call("getvminfo", vmid=7)["flags"] == VmState.FREE
    refused(client, Code.VMRUN, "vm_init", vmid=5, name="other")
    refused(client, Code.EXIST, "vm_init", vmid=6, name="five")
    refused(client, Code.INVAL, "getvminfo", vmid=32)


@covers("mnx_vm_init", "EMOLRANGE")
@pytest.mark.parametrize(
    "fields",
    [
        {"vmid": -1}, {"vmid": 32}, {"nr_procs": 0}, {"nr_procs": 190}, {"nr_tasks": 68}, {"nr_tasks": 2},
        {"nr_sysprocs": 66}, {"nr_sysprocs": 97}, {"nodes": 1 << 32}, {"nodes": -1}, {"name": ""}, {"name": "a/b"},
        {"name": ".."}, {"name": "info"}, {"name": "a\nb"}, {"notes": 0}, {"notes": 1 << 21}, {"nr_procs": 1 << 62},
    ],
)  # fmt: skip
def test_a_vm_out_of_range_is_refused(client: Client, fields: dict[str, object]) -> None:
    refused(client, Code.RANGE, "vm_init", **({"name": "lab"} | fields))
    assert client.call("vm_list")["vms"] == []


@covers("mnx_vm_init", "EMOLNAMETOOLONG")
def test_a_name_of_sixteen_bytes_is_too_long(client: Client) -> None:
    refused(client, Code.NAMETOOLONG, "vm_init", name="x" * 16)
    refused(client, Code.NAMETOOLONG, "vm_init", name="ü" * 8)
    assert client.call("vm_init", name="x" * 15)["name"] == "x" * 15


@covers("mnx_vm_init", "EMOLNOTDIR")
def test_a_file_in_the_way_of_the_vms_directory_is_named(client: Client, runtime_dir: Path) -> None:
    (runtime_dir / "proc" / "lab").write_text("")
    assert "proc/lab" in refused(client, Code.NOTDIR, "vm_init", name="lab")


@covers("mnx_vm_init", "EMOLBADF")
def test_a_directory_in_the_way_of_the_vms_file_is_named(client: Client, runtime_dir: Path) -> None:
    (runtime_dir / "proc" / "lab" / "info").mkdir(parents=True)
    assert "lab/info" in refused(client, Code.BADF, "vm_init", name="lab")
    assert client.call("vm_list")["vms"] == []


@covers("mnx_vm_init", "EMOLNOMEM")
def test_a_region_that_does_not_fit_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(Refused) as refusal:
            make_region(0, 0, "lab", 0, USUAL)
    assert refusal.value.code == Code.NOMEM
    assert "No space left" in str(refusal.value.detail)
    monkeypatch.setattr(vm_module, "memory_available", lambda: 4096)
    with pytest.raises(Refused, match="are available") as refusal:
        make_region(0, 0, "lab", 0, USUAL)
    assert refusal.value.code == Code.NOMEM


def test_a_region_is_allocated_and_cannot_be_truncated() -> None:
    fd, region = make_region(3, 0, "lab", 0, USUAL)
    try:
        status = os.fstat(fd)
        assert status.st_blocks * 512 >= status.st_size == Region.bytes_for(**USUAL._asdict())
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        assert seals & vm_module.F_SEALS == vm_module.F_SEALS
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
        assert region.vmid == 3
    finally:
        os.close(fd)


@covers("mnx_vm_end", "OK", "EMOLVMNOTRUN")
def test_ending_a_vm_signals_and_wakes_everyone_in_it(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(_member_that_gets_sigpipe, str(node.runtime_dir), lab)
    child.wait_line("waiting")
    client.call("vm_end", vmid=lab)
    assert child.result() == (int(Code.VMNOTRUN), [int(signal.SIGPIPE)])
    refused(client, Code.VMNOTRUN, "vm_end", vmid=lab)
    refused(client, Code.VMNOTRUN, "bind", vmid=lab)


def _member_that_gets_sigpipe(me, runtime_dir: str, vmid: int) -> tuple[int, list[int]]:
    from drvs.base.ids import ANY
    from drvs.core import Message
    from drvs.core._core import RECEIVE

    from daemon.helpers import open_endpoint

    signals: list[int] = []
    signal.signal(signal.SIGPIPE, lambda number, _: signals.append(number))
    with Client(runtime_dir) as client:
        endpoint = open_endpoint(client.call("bind", vmid=vmid))
        me.say("waiting")
        code = -512
        while code == -512:
            code = endpoint.raw(RECEIVE, int(ANY), Message(), -1)
    while not signals:
        signal.sigtimedwait([], 0.01)
    return code, signals


def test_a_caller_inside_the_vm_that_it_ends_is_spared(node: nodes.RunningNode, client: Client, lab: int) -> None:
    child = spawn(_member_that_ends_its_own_vm, str(node.runtime_dir), lab)
    assert child.result() == "alive"


def _member_that_ends_its_own_vm(_me, runtime_dir: str, vmid: int) -> str:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    with Client(runtime_dir) as client:
        bind(client, vmid)
        client.call("vm_end", vmid=vmid)
    return "alive"


def test_a_new_vm_with_an_old_id_knows_nothing_of_the_old_one(client: Client, lab: int) -> None:
    before = bind(client, lab, name="mine")
    client.call("vm_end", vmid=lab)
    again = client.call("vm_init", vmid=lab, name="lab")
    assert again["serial"] > before["serial"]
    assert client.call("procs", vmid=lab)["procs"] == []
    refused(client, Code.NOTBIND, "lookup", vmid=lab, name="mine")


@covers("mnx_vm_dump", "OK")
@covers("mnx_proc_dump", "OK", "EMOLBADVMID", "EMOLVMNOTRUN")
def test_dumps_have_the_guides_columns_and_go_to_the_log(client: Client, lab: int, node: nodes.RunningNode) -> None:
    child = spawn(holder_program, str(node.runtime_dir), lab, 5)
    child.wait_line("5")
    assert client.call("vm_dump")["text"] == "VMID\tFLAGS\tNAME\n0\t0\tlab"
    text = client.call("proc_dump", vmid=lab)["text"]
    assert text == (
        "VMID\tNR\tENDP\tLPID\tNODE\tFLAGS\tGETF\tSNDT\tWITM\n" + f"0\t5\t5\t{child.pid}\t0\t0\t27342\t27342\t27342"
    )
    assert text.splitlines()[1] in client.call("log")["lines"]
    refused(client, Code.BADVMID, "proc_dump", vmid=32)
    refused(client, Code.VMNOTRUN, "proc_dump", vmid=1)


def test_an_audit_of_a_sound_vm_finds_nothing(client: Client, lab: int) -> None:
    bind(client, lab)
    assert client.call("audit", vmid=lab)["findings"] == []


def test_all_vm_ids_of_the_node_can_run(runtime_dir: Path, nothing_left: None) -> None:
    running = nodes.start(runtime_dir, size={"nr_vms": 256, "nr_procs": 40, "nr_tasks": 10, "nr_sysprocs": 20})
    with Client(runtime_dir) as client:
        for number in range(256):
            assert client.call("vm_init", name=f"vm{number}")["vmid"] == number
        refused(client, Code.BUSY, "vm_init", name="more")
        assert len(client.call("vm_list")["vms"]) == 256
    end(running)
