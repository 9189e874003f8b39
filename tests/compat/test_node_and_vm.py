"""The node and its VMs (guide 4.1.1 to 4.1.6, 4.1.12): beginning, ending, looking."""

import resource
import shutil
import signal

import pytest

from drvs.compat.mnx import *
from support.covers import covers
from support.users import as_nobody

pytestmark = pytest.mark.root
NODE_CALLS = ("mnx_drvs_end", "mnx_vm_init", "mnx_vm_end", "mnx_getvminfo", "mnx_vm_dump")


def limits(**changes):
    usual = {"d_nr_vms": 32, "d_nr_nodes": 32, "d_nr_procs": 189, "d_nr_tasks": 67, "d_nr_sysprocs": 96, "d_dbglvl": 0}
    return drvs_usr_t(**{**usual, **changes})


def vm_of(**changes):
    usual = {"vm_vmid": 7, "vm_nr_procs": 100, "vm_nr_tasks": 10, "vm_nr_sysprocs": 40, "vm_name": b"VM7"}
    return VM_usr_t(**{**usual, **changes})


@pytest.fixture
def blank(node):
    """The shared node, not initialised; initialised as usual afterwards."""
    assert mnx_drvs_end() == OK
    yield node
    mnx_drvs_end()
    assert mnx_drvs_init(0, limits()) == OK


# ---- drvs_init, drvs_end, getdrvsinfo


@covers("mnx_drvs_init", "OK")
@covers("mnx_getdrvsinfo", "OK")
def test_a_node_has_the_limits_it_was_initialised_with(blank):
    asked = limits(d_nr_procs=200, d_max_copybuf=4096, d_max_copylen=65536, d_dbglvl=GENERIC | DBGPROC)
    assert mnx_drvs_init(3, asked) == OK
    assert (asked.d_version, asked.d_subver) == (2, 1)
    info = drvs_usr_t()
    assert mnx_getdrvsinfo(info) == OK
    assert bytes(info) == bytes(asked)
    assert blank.info().node == 3


@covers("mnx_drvs_init", "OK")
def test_a_program_that_does_not_know_the_copy_limits_gets_the_guides(blank):
    assert mnx_drvs_init(0, limits()) == OK
    info = drvs_usr_t()
    assert mnx_getdrvsinfo(ctypes_reference(info)) == OK
    assert (info.d_max_copybuf, info.d_max_copylen) == (MAXCOPYBUF, MAXCOPYLEN)


def ctypes_reference(structure):
    import ctypes

    return ctypes.byref(structure)


@covers("mnx_drvs_init", "EMOLDRVSBUSY")
def test_a_node_is_initialised_once(node):
    assert mnx_drvs_init(0, limits()) == EMOLDRVSBUSY
    assert mnx_errno() == EMOLDRVSBUSY


@covers("mnx_drvs_init", "EMOLRANGE")
@pytest.mark.parametrize(
    "wrong",
    [
        {"d_nr_vms": 0},
        {"d_nr_vms": 257},
        {"d_nr_nodes": 0},
        {"d_nr_nodes": 4097},
        {"d_nr_procs": 0},
        {"d_nr_procs": -5},
        {"d_nr_tasks": 300},
        {"d_nr_tasks": -1},
        {"d_nr_sysprocs": 5},
        {"d_nr_sysprocs": 100_000},
        {"d_max_copybuf": -1},
        {"d_max_copylen": -1},
    ],
    ids=str,
)
def test_limits_out_of_range_are_refused(blank, wrong):
    assert mnx_drvs_init(0, limits(**wrong)) == EMOLRANGE


@covers("mnx_drvs_init", "EMOLRANGE")
@pytest.mark.parametrize("nodeid", [-1, 32])
def test_a_node_id_out_of_range_is_refused(blank, nodeid):
    assert mnx_drvs_init(nodeid, limits()) == EMOLRANGE


@covers("mnx_drvs_init", "EMOLRANGE")
def test_what_is_no_drvs_usr_is_refused(blank):
    assert mnx_drvs_init(0, None) == EMOLRANGE


@covers("mnx_drvs_init", "EMOLNOTDIR")
def test_a_file_in_the_place_of_the_proc_directory_is_told(blank, shared_node):
    in_the_way = shared_node.runtime_dir / "proc"
    in_the_way.write_text("")
    try:
        assert mnx_drvs_init(0, limits()) == EMOLNOTDIR
    finally:
        in_the_way.unlink()


@covers("mnx_drvs_init", "EMOLBADF")
def test_a_directory_in_the_place_of_a_proc_file_is_told(blank, shared_node):
    (shared_node.runtime_dir / "proc" / "info").mkdir(parents=True)
    try:
        assert mnx_drvs_init(0, limits()) == EMOLBADF
    finally:
        shutil.rmtree(shared_node.runtime_dir / "proc")


@covers("mnx_drvs_end", "OK", "EMOLDRVSINIT")
@covers("mnx_getdrvsinfo", "EMOLDRVSINIT")
def test_a_node_ends_once(blank):
    assert mnx_drvs_end() == EMOLDRVSINIT
    assert mnx_getdrvsinfo(drvs_usr_t()) == EMOLDRVSINIT


@covers("mnx_drvs_end", "OK")
def test_the_end_of_a_node_is_the_end_of_its_vms(lab):
    child = lab.bound(2, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(2, RTS_FLAGS["RECEIVING"])
    assert mnx_drvs_end() == OK
    assert child.result() == EMOLVMNOTRUN
    assert mnx_drvs_init(0, limits()) == OK


@covers(NODE_CALLS, "EMOLDRVSINIT")
def test_without_a_node_nothing_is_initialised():
    calls = [
        mnx_drvs_end(),
        mnx_vm_init(vm_of()),
        mnx_vm_end(0),
        mnx_getvminfo(0, VM_usr_t()),
        mnx_vm_dump(),
        mnx_drvs_init(0, limits()),
    ]
    assert calls == [EMOLDRVSINIT] * len(calls)


@covers(NODE_CALLS, "EMOLDRVSINIT")
def test_a_node_that_is_not_initialised_has_no_vms(blank):
    calls = [mnx_vm_init(vm_of()), mnx_vm_end(0), mnx_getvminfo(0, VM_usr_t()), mnx_vm_dump(), mnx_drvs_end()]
    assert calls == [EMOLDRVSINIT] * len(calls)


# ---- vm_init, vm_end, getvminfo


@covers("mnx_vm_init", "OK")
@covers("mnx_getvminfo", "OK")
@covers("mnx_vm_end", "OK")
def test_a_vm_has_the_limits_it_was_created_with(node):
    asked, info = vm_of(), VM_usr_t()
    assert mnx_vm_init(asked) == OK
    try:
        assert mnx_getvminfo(7, info) == OK
        assert bytes(info) == bytes(asked)
        assert (info.vm_vmid, info.vm_flags, info.vm_name, info.vm_nr_procs) == (7, 0, b"VM7", 100)
        assert (info.vm_nr_nodes, info.vm_nodes) == (32, 1)
    finally:
        assert mnx_vm_end(7) == OK


@covers("mnx_vm_init", "OK")
def test_a_vm_without_a_number_gets_the_lowest_free_one(lab):
    asked = vm_of(vm_vmid=-1)
    assert mnx_vm_init(asked) == OK
    assert asked.vm_vmid == lab.vmid + 1
    assert mnx_vm_end(asked.vm_vmid) == OK


@covers("mnx_vm_init", "EMOLRANGE")
@pytest.mark.parametrize(
    "wrong",
    [
        {"vm_vmid": 32},
        {"vm_vmid": -2},
        {"vm_nr_procs": 0},
        {"vm_nr_procs": 190},
        {"vm_nr_tasks": 68},
        {"vm_nr_tasks": -1},
        {"vm_nr_sysprocs": 97},
        {"vm_nr_sysprocs": 0},
        {"vm_name": b""},
        {"vm_name": b"a/b"},
    ],
    ids=str,
)
def test_a_vm_out_of_range_is_refused(node, wrong):
    assert mnx_vm_init(vm_of(**wrong)) == EMOLRANGE


@covers("mnx_vm_init", "EMOLRANGE")
def test_what_is_no_vm_usr_is_refused(node):
    assert mnx_vm_init(limits()) == EMOLRANGE


@covers("mnx_vm_init", "EMOLNAMETOOLONG")
def test_a_name_of_16_bytes_is_too_long(node):
    assert mnx_vm_init(vm_of(vm_name=b"sixteen bytes ok")) == EMOLNAMETOOLONG


@covers("mnx_vm_init", "EMOLEXIST", "EMOLVMRUN")
def test_a_name_and_a_number_belong_to_one_vm(lab):
    assert mnx_vm_init(vm_of(vm_name=lab.vm.name.encode())) == EMOLEXIST
    assert mnx_vm_init(vm_of(vm_vmid=lab.vmid)) == EMOLVMRUN


@covers("mnx_vm_init", "EMOLNOMEM")
def test_a_vm_for_which_there_is_no_memory_is_refused(node, shared_node):
    _, most = resource.prlimit(shared_node.noded_pid, resource.RLIMIT_FSIZE)
    resource.prlimit(shared_node.noded_pid, resource.RLIMIT_FSIZE, (4096, most))
    try:
        assert mnx_vm_init(vm_of()) == EMOLNOMEM
    finally:
        resource.prlimit(shared_node.noded_pid, resource.RLIMIT_FSIZE, (most, most))
    assert mnx_getvminfo(7, info := VM_usr_t()) == OK
    assert info.vm_flags == 2  # free: nothing is half done


@covers("mnx_vm_init", "EMOLNOTDIR")
def test_a_file_in_the_place_of_a_vms_directory_is_told(node, shared_node):
    in_the_way = shared_node.runtime_dir / "proc" / "VM7"
    in_the_way.write_text("")
    try:
        assert mnx_vm_init(vm_of()) == EMOLNOTDIR
    finally:
        in_the_way.unlink()


@covers("mnx_vm_init", "EMOLBADF")
def test_a_directory_in_the_place_of_a_vms_file_is_told(node, shared_node):
    folder = shared_node.runtime_dir / "proc" / "VM7"
    (folder / "info").mkdir(parents=True)
    try:
        assert mnx_vm_init(vm_of()) == EMOLBADF
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@covers("mnx_vm_end", "OK", "EMOLVMNOTRUN")
def test_the_bound_get_sigpipe_when_their_vm_ends(lab):
    def program(me):
        heard = []
        signal.signal(signal.SIGPIPE, lambda number, _: heard.append(number))
        me.say("ready")
        code = mnx_receive(ANY, message())
        while not heard:
            signal.sigtimedwait([], 0.01)
        return code, heard

    child = lab.bound(2, program)
    child.wait_line("ready")
    lab.wait_rts(2, RTS_FLAGS["RECEIVING"])
    assert mnx_vm_end(lab.vmid) == OK
    code, heard = child.result()
    assert code in (EMOLVMNOTRUN, -ERESTARTSYS)
    assert heard == [signal.SIGPIPE]
    assert mnx_vm_end(lab.vmid) == EMOLVMNOTRUN
    assert mnx_vm_end(99) == EMOLVMNOTRUN


@covers("mnx_getvminfo", "EMOLINVAL")
def test_a_vm_number_out_of_range_is_not_valid(node):
    assert mnx_getvminfo(32, VM_usr_t()) == EMOLINVAL
    assert mnx_getvminfo(-1, VM_usr_t()) == EMOLINVAL
    assert mnx_getvminfo(0, None) == EMOLINVAL


@covers("mnx_vm_dump", "OK")
def test_the_vms_are_dumped_into_the_log_in_the_guides_columns(lab):
    assert mnx_vm_dump() == OK
    text = "\n".join(lab.node.client.call("log")["lines"])
    assert "VMID\tFLAGS\tNAME\n" in text
    assert f"{lab.vmid}\t0\tlab" in text


# ---- rights


@covers(("mnx_drvs_init", "mnx_drvs_end", "mnx_getdrvsinfo", "mnx_vm_init", "mnx_vm_end", "mnx_getvminfo"), "-EPERM")
def test_strangers_may_not_manage_a_node(lab):
    def stranger():
        return {
            "mnx_drvs_init": mnx_drvs_init(0, limits()),
            "mnx_drvs_end": mnx_drvs_end(),
            "mnx_getdrvsinfo": mnx_getdrvsinfo(drvs_usr_t()),
            "mnx_vm_init": mnx_vm_init(vm_of()),
            "mnx_vm_end": mnx_vm_end(lab.vmid),
            "mnx_getvminfo": mnx_getvminfo(lab.vmid, VM_usr_t()),
        }

    codes = as_nobody(stranger)
    assert codes == dict.fromkeys(codes, -EPERM)
