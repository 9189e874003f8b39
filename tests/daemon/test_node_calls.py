"""drvs_init, drvs_end, getdrvsinfo, setdebug, the log: guide 4.1.1 to 4.1.3."""

import os
from pathlib import Path

import pytest

from drvs.base.codes import Code
from drvs.daemon.client import Client
from support import nodes
from support.covers import covers
from support.users import as_nobody

from daemon.helpers import bind, end, refused


@pytest.fixture
def fresh(runtime_dir: Path, nothing_left: None):
    """A noded that is not initialised."""
    running = nodes.start(runtime_dir, init=False)
    with Client(runtime_dir) as client:
        yield client
    end(running)


@covers("mnx_drvs_init", "OK", "EMOLDRVSBUSY")
@covers("mnx_getdrvsinfo", "OK")
def test_init_sets_the_limits_and_a_second_one_is_refused(fresh: Client) -> None:
    assert fresh.call("getdrvsinfo")["node"] == -1
    fresh.call("drvs_init", node=3, nr_vms=2, nr_procs=50)
    info = fresh.call("getdrvsinfo")
    assert (info["node"], info["nr_vms"], info["nr_procs"], info["nr_tasks"], info["version"]) == (3, 2, 50, 67, 2)
    assert "node 3 is initialised already" in refused(fresh, Code.DRVSBUSY, "drvs_init", node=3)


@covers("mnx_drvs_init", "EMOLRANGE")
@pytest.mark.parametrize(
    "limits",
    [
        {"node": -1}, {"node": 32}, {"nr_vms": 0}, {"nr_vms": 257}, {"nr_nodes": 4097}, {"nr_procs": 0}, {"notes": -5},
        {"nr_tasks": 300}, {"nr_tasks": 2}, {"nr_sysprocs": 20}, {"nr_procs": 10, "nr_sysprocs": 200}, {"debug": -1},
        {"copy_len_max": 0}, {"nr_procs": 2**40},
    ],
)  # fmt: skip
def test_init_refuses_limits_out_of_range(fresh: Client, limits: dict[str, int]) -> None:
    refused(fresh, Code.RANGE, "drvs_init", **({"node": 0} | limits))
    assert fresh.call("hello")["initialised"] is False


@covers("mnx_drvs_init", "EMOLNOTDIR")
def test_init_names_what_is_in_the_way_of_its_directory(fresh: Client, runtime_dir: Path) -> None:
    (runtime_dir / "proc").write_text("")
    assert str(runtime_dir / "proc") in refused(fresh, Code.NOTDIR, "drvs_init", node=0)
    (runtime_dir / "proc").unlink()
    fresh.call("drvs_init", node=0)


@covers("mnx_drvs_init", "EMOLBADF")
def test_init_names_the_file_that_it_cannot_create(fresh: Client, runtime_dir: Path) -> None:
    (runtime_dir / "proc" / "info").mkdir(parents=True)
    assert "info" in refused(fresh, Code.BADF, "drvs_init", node=0)
    assert fresh.call("hello")["initialised"] is False


@covers("mnx_drvs_end", "OK", "EMOLDRVSINIT")
@covers(("mnx_vm_init", "mnx_vm_end", "mnx_getvminfo", "mnx_bind", "mnx_lclbind", "mnx_rmtbind"), "EMOLDRVSINIT")
@covers(("mnx_bkupbind", "mnx_wait4bind", "mnx_unbind", "mnx_getep", "mnx_getprocinfo"), "EMOLDRVSINIT")
@covers(("mnx_vm_dump", "mnx_setpriv", "mnx_getpriv"), "EMOLDRVSINIT")
def test_end_takes_the_vms_along_and_every_call_then_says_so(node: nodes.RunningNode) -> None:
    with Client(node.runtime_dir) as client:
        vmid = client.call("vm_init", name="lab")["vmid"]
        bind(client, vmid)
        client.call("drvs_end")
        calls = {
            "drvs_end": {}, "vm_init": {"name": "x"}, "vm_end": {"vmid": 0}, "getvminfo": {"vmid": 0},
            "bind": {"vmid": 0},
            "rmtbind": {"vmid": 0, "name": "x", "endpoint": 1, "node": 1}, "vm_dump": {}, "wait4bind": {},
            "bkupbind": {"vmid": 0, "pid": 1, "endpoint": 1, "node": 1}, "unbind": {"vmid": 0, "endpoint": 1},
            "getep": {"pid": 1}, "getprocinfo": {"vmid": 0, "p_nr": 1}, "setpriv": {"vmid": 0, "endpoint": 1},
            "getpriv": {"vmid": 0, "endpoint": 1},
        }  # fmt: skip
        for op, fields in calls.items():
            refused(client, Code.DRVSINIT, op, **fields)
        client.call("drvs_init", node=0)
        assert client.call("vm_list")["vms"] == []


def _codes_of_strangers(runtime_dir: str) -> dict[str, int]:
    calls = {
        "drvs_init": {"node": 0}, "drvs_end": {}, "getdrvsinfo": {}, "vm_init": {"name": "x"}, "vm_end": {"vmid": 0},
        "getvminfo": {"vmid": 0}, "bind": {"vmid": 0}, "rmtbind": {"vmid": 0, "name": "x", "endpoint": 1, "node": 1},
        "bkupbind": {"vmid": 0, "pid": 1, "endpoint": 1, "node": 1}, "unbind": {"vmid": 0, "endpoint": 1},
        "getprocinfo": {"vmid": 0, "p_nr": 1}, "setpriv": {"vmid": 0, "endpoint": 1}, "procs": {"vmid": 0},
        "getpriv": {"vmid": 0, "endpoint": 1}, "shutdown": {}, "log": {}, "setdebug": {"mask": 0},
        "notify": {"vmid": 0, "as_p_nr": -1, "dst": 1}, "wakeup": {"vmid": 0, "endpoint": 1}, "audit": {"vmid": 0},
        "lookup": {"vmid": 0, "name": "x"},
        "copy": {"vmid": 0, "src_slot": 1, "src_address": 0, "dst_slot": 2, "dst_address": 0, "bytes": 1},
    }  # fmt: skip
    with Client(runtime_dir) as client:
        return {op: client.call(op, check=False, **fields).code for op, fields in calls.items()}


@covers(("mnx_drvs_init", "mnx_drvs_end", "mnx_getdrvsinfo", "mnx_vm_init", "mnx_vm_end", "mnx_getvminfo"), "-EPERM")
@covers(("mnx_bind", "mnx_lclbind", "mnx_rmtbind", "mnx_bkupbind", "mnx_unbind", "mnx_getprocinfo"), "-EPERM")
@covers(("mnx_setpriv", "mnx_getpriv"), "-EPERM")
@pytest.mark.root
def test_an_ordinary_user_may_do_none_of_this(lab: int, node: nodes.RunningNode) -> None:
    codes = as_nobody(_codes_of_strangers, str(node.runtime_dir))
    assert {op: code for op, code in codes.items() if code != Code.PERM} == {}


def test_the_debug_mask_chooses_what_is_logged(client: Client, lab: int) -> None:
    bind(client, lab, name="quiet")
    client.call("setdebug", mask=0x10000)
    bind(client, lab, name="loud")
    text = "\n".join(client.call("log")["lines"])
    assert "'loud'" in text
    assert "'quiet'" not in text
    assert client.call("getdrvsinfo")["debug"] == 0x10000


def test_the_directories_of_the_guides_proc_come_and_go(client: Client, lab: int, runtime_dir: Path) -> None:
    assert (runtime_dir / "proc" / "info").read_text() == "drvs cat info\n"
    assert (runtime_dir / "proc" / "lab" / "info").read_text() == "drvs cat lab/info\n"
    client.call("vm_end", vmid=lab)
    assert not (runtime_dir / "proc" / "lab").exists()


def test_the_log_is_turned_over(runtime_dir: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRVS_LIMITS", "log_bytes=4096")
    running = nodes.start(runtime_dir)
    with Client(runtime_dir) as client:
        for _ in range(200):
            client.call("vm_dump")
    files = {path.name: path.stat().st_size for path in (runtime_dir / "private").iterdir() if "log" in path.name}
    end(running)
    assert set(files) == {"noded.log", "noded.log.1"}
    assert max(files.values()) <= 4096


def test_noded_is_small(client: Client, lab: int) -> None:
    text = Path(f"/proc/{client.call('hello')['pid']}/smaps_rollup").read_text()
    private_kib = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private"))
    assert private_kib <= 40 * 1024
    assert os.getpid() != client.call("hello")["pid"]
