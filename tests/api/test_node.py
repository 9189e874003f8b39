"""Reaching a node and its VMs."""

import os

import pytest

import drvs
from drvs.base.flags import VmState
from support.users import as_nobody


def test_without_a_node_the_error_says_how_to_start_one(runtime_dir):
    with pytest.raises(drvs.DaemonGone, match="drvs up") as caught:
        drvs.connect()
    assert caught.value.code == drvs.Code.DRVSINIT
    assert isinstance(caught.value, ConnectionError)


def test_a_node_is_found_by_its_directory_and_by_the_environment(node, monkeypatch):
    monkeypatch.setenv("DRVS_RUNTIME_DIR", "/nonexistent")
    with drvs.connect(node.runtime_dir) as found:
        assert found.runtime_dir == node.runtime_dir
        assert found.id == 0


def test_a_node_tells_its_limits(node):
    info = node.info()
    assert (info.nr_vms, info.nr_procs, info.nr_tasks, info.nr_sysprocs) == (32, 189, 67, 96)
    assert (info.copy_buf, info.copy_len_max, info.version) == (32768, 524288, (2, 1))


def test_a_node_can_be_ended_and_initialised_with_other_limits(node):
    node.end()
    with pytest.raises(drvs.NotRunning):
        node.info()
    node.init(4, nr_procs=50, debug=drvs.DebugMask.PROC)
    assert (node.id, node.info().nr_procs, node.info().debug) == (4, 50, drvs.DebugMask.PROC)
    node.end()
    node.init()


def test_debug_categories_can_be_chosen(node):
    node.set_debug(drvs.DebugMask.PROC | drvs.DebugMask.PRIV)
    assert node.info().debug == drvs.DebugMask.PROC | drvs.DebugMask.PRIV
    node.set_debug(0)


def test_a_vm_is_created_found_listed_and_ended(node):
    with node.create_vm("one", nr_procs=100, nr_tasks=10, nr_sysprocs=20) as vm:
        assert node.vm("one").id == node.vm(vm.id).id == vm.id
        (info,) = node.vms()
        assert info == vm.info()
        assert (info.name, info.state, info.nr_procs, info.nr_tasks, info.bound) == ("one", VmState.RUNNING, 100, 10, 0)
        assert f"{vm.id}\t0\tone" in node.dump()
    assert node.vms() == []


def test_a_vm_that_was_looked_up_outlives_the_with_statement(vm, node):
    with node.vm("lab") as found:
        assert found.id == vm.id
    assert vm.info().state == VmState.RUNNING


def test_a_vm_that_somebody_ended_leaves_its_with_statement_quietly(node):
    with node.create_vm("short") as vm:
        node.vm("short").end()
    with pytest.raises(drvs.NotRunning, match="short"):
        vm.end()


@pytest.mark.parametrize("missing", ["nobody", 9])
def test_a_vm_that_does_not_run_is_not_found(node, missing):
    with pytest.raises(drvs.NotRunning):
        node.vm(missing)


def test_a_vm_number_out_of_range_is_told(node):
    with pytest.raises(drvs.OutOfRange):
        node.vm(99)


def test_a_name_belongs_to_one_vm(vm, node):
    with pytest.raises(drvs.Busy):
        node.create_vm("lab")
    with pytest.raises(drvs.Busy):
        node.create_vm("other", vmid=vm.id)
    with pytest.raises(drvs.NameTooLong):
        node.create_vm("a name of sixteen")
    with pytest.raises(drvs.OutOfRange):
        node.create_vm("big", nr_procs=100_000)


@pytest.mark.root
def test_a_stranger_may_look_but_not_touch(vm, node):
    def stranger():
        found = drvs.connect(node.runtime_dir)
        refused = 0
        for forbidden in (lambda: found.create_vm("mine"), found.end, lambda: found.vm("lab")):
            try:
                forbidden()
            except drvs.AccessDenied as error:
                refused += "drvs run" in str(error)
        return refused, found.vms()[0].name

    assert as_nobody(stranger) == (3, "lab")


def test_a_forked_child_has_connections_of_its_own(vm, node):
    pid = os.fork()
    if pid == 0:
        os._exit(node.vms()[0].name == "lab")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert node.vms()[0].name == "lab"


def test_a_sound_vm_has_no_findings(vm):
    with vm.bind():
        assert vm.audit() == []
