"""Region: making, mapping and refusing; what noded does to one; the stepping face."""

import mmap
import os
from typing import Any

import pytest

from drvs.core import CODES, LAYOUT, Message, Region, _core
from support.regions import FIRST_USER_SLOT, bind, make_region

SERVER, CLIENT = FIRST_USER_SLOT, FIRST_USER_SLOT + 1


def bound(region: Region, slot: int, name: str = "", pid: int = 1000) -> int:
    """Bind a slot for some process; its endpoint."""
    code, endpoint, _ = region.bind(slot, pid + slot, pid + slot, 0, _core.BIND_LOCAL, 0, name)
    assert code == 0
    return endpoint


def state(region: Region, slot: int) -> dict[str, Any]:
    """The snapshot of a slot."""
    snapshot = region.snapshot(slot)
    assert isinstance(snapshot, dict)
    return snapshot


# ---- making and mapping ------------------------------------------------------------------------------------------


def test_a_region_says_what_it_is() -> None:
    region = make_region(
        vmid=5, node=2, nr_procs=10, nr_tasks=4, nr_sysprocs=6, notes=8, owner_uid=2**32 - 1, name="lab"
    )
    assert (region.vmid, region.node, region.name, region.state) == (5, 2, "lab", _core.VM_RUNNING)
    assert (region.nr_procs, region.nr_tasks, region.nr_sysprocs, region.notes) == (10, 4, 6, 8)
    assert (region.members, region.nslots, region.map_words, region.bound) == (14, 14, 1, 0)
    assert (region.owner_uid, region.copy_len_max, region.copy_buf, region.readonly) == (
        2**32 - 1,
        524288,
        32768,
        False,
    )
    assert repr(region) == "<Region of VM 5 'lab', 14 slots>"
    limits = {"nr_procs": 10, "nr_tasks": 4, "nr_sysprocs": 6, "notes": 8}
    assert region.layout["bytes"] == Region.bytes_for(**limits)
    assert region.audit() == []


@pytest.mark.parametrize(
    "limits",
    [{"nr_procs": 0}, {"nr_tasks": 300}, {"nr_tasks": 2}, {"nr_sysprocs": 5000}, {"notes": 0}, {"copy_buf": 0}],
)
def test_limits_out_of_range_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="limits out of range"):
        Region.bytes_for(**limits)
    fd = os.memfd_create("drvs-test")
    with pytest.raises(ValueError, match="limits out of range"):
        Region.format(fd, **limits)
    assert os.fstat(fd).st_size == 0
    os.close(fd)


def test_names_are_at_most_15_bytes() -> None:
    assert make_region(name="é" * 7).name == "é" * 7
    for name in ("x" * 16, "é" * 8, "a\0b"):
        with pytest.raises(ValueError, match="name must be at most 15 bytes"):
            Region.bytes_for(name=name)
    with pytest.raises(TypeError, match="name must be a str"):
        Region.bytes_for(name=b"x")  # type: ignore[arg-type]


def test_integers_are_checked_with_their_range() -> None:
    with pytest.raises(OverflowError, match="vmid must be between 0 and 2147483647, not -1"):
        Region.bytes_for(vmid=-1)
    with pytest.raises(TypeError, match="nr_procs must be an integer"):
        Region.bytes_for(nr_procs="1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"format\(\) needs fd"):
        Region.format()  # type: ignore[call-arg]


def test_a_file_that_is_no_region_is_refused_with_the_reason() -> None:
    fd = os.memfd_create("drvs-test")
    with pytest.raises(ValueError, match="not a usable region: it is shorter than a region's header"):
        Region(fd)
    os.truncate(fd, 8192)
    with pytest.raises(ValueError, match="no magic number"):
        Region(fd)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Region(fd)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("version", 77, "another version of drvs"),
        ("nr_procs", 10**6, "limits out of range"),
        ("notes", 5, "size differs"),
    ],
)
def test_a_damaged_header_is_refused_with_the_reason(field: str, value: int, reason: str) -> None:
    fd = os.memfd_create("drvs-test")
    Region.format(fd)
    with mmap.mmap(fd, 4096) as memory:
        at = LAYOUT[f"header.{field}"]
        memory[at : at + 4] = value.to_bytes(4, "little")
    with pytest.raises(ValueError, match=reason):
        Region(fd)
    os.close(fd)


def test_format_wants_a_file_no_longer_than_the_region() -> None:
    fd = os.memfd_create("drvs-test")
    os.truncate(fd, Region.bytes_for() + 4096)
    with pytest.raises(ValueError, match="the region only"):
        Region.format(fd)
    os.close(fd)


def test_a_read_only_region_can_be_looked_at() -> None:
    fd = os.memfd_create("drvs-test")
    Region.format(fd, name="lab")
    region = Region(fd, readonly=True)
    os.close(fd)
    assert (region.readonly, region.name, region.holder()[0]) == (True, "lab", 0)
    assert region.decode(region.encode(SERVER, 1)) == SERVER
    for call in (region.audit, lambda: region.snapshot(0), lambda: region.end(_core.VM_ENDED)):
        with pytest.raises(ValueError, match="mapped read-only"):
            call()


def test_a_region_that_was_never_opened_refuses() -> None:
    region = Region.__new__(Region)
    for call in (region.audit, region.holder, lambda: region.snapshot(0)):
        with pytest.raises(ValueError, match=r"not open|slot must be below"):
            call()
    assert region.decode(0) is None
    assert region.state is None


def test_regions_are_unmapped_when_dropped() -> None:
    def mappings() -> int:
        with open("/proc/self/maps") as maps:
            return sum("drvs-test" in line for line in maps)

    before = mappings()
    regions = [make_region() for _ in range(5)]
    assert mappings() == before + 5
    regions.clear()
    assert mappings() == before


# ---- what noded does ---------------------------------------------------------------------------------------------


def test_bind_gives_endpoint_and_incarnation(region: Region) -> None:
    code, endpoint, incarnation = region.bind(SERVER, 11, 12, 3, _core.BIND_LOCAL, 0, "server")
    assert (code, endpoint, incarnation) == (0, region.encode(SERVER, 1), 1)
    assert region.decode(endpoint) == SERVER
    snapshot = state(region, SERVER)
    assert (snapshot["pid"], snapshot["tid"], snapshot["node"], snapshot["name"]) == (11, 12, 3, "server")
    assert (snapshot["p_nr"], snapshot["rts"], snapshot["generation"]) == (SERVER - region.nr_tasks, 0, 1)
    assert region.bound == 1
    assert region.bind(SERVER, 11, 12, 3, 0, 0, "x")[0] == CODES["BUSY"]
    assert region.unbind(SERVER, 77) != 0
    assert region.unbind(SERVER, incarnation) == 0
    assert region.bind(SERVER, 11, 12, 3, 0, 0, "x")[1:] == (region.encode(SERVER, 2), 2)


def test_a_slot_must_exist(region: Region) -> None:
    for call in (
        lambda: region.bind(256, 1, 1, 0, 0, 0, ""),
        lambda: region.unbind(256, 0),
        lambda: region.snapshot(256),
        lambda: region.getpriv(256),
        lambda: region.encode(256, 0),
    ):
        with pytest.raises(ValueError, match="slot must be below 256, not 256"):
            call()
    with pytest.raises(ValueError, match="generation must be at most"):
        region.encode(SERVER, 2**31 - 1)
    assert region.decode(2**31 - 1) is None


def test_privileges_are_read_and_replaced_as_a_whole(region: Region) -> None:
    bound(region, 0)
    whole = 2**128 - 1
    before = region.getpriv(0)
    assert isinstance(before, tuple)
    assert before[6:] == (whole, whole)
    wanted = (1, 5, 2, 0xFF, 2**64 - 1, 123456789, 1 << 95, 3)
    assert region.setpriv(0, 1, wanted) == 0
    assert region.getpriv(0) == wanted
    assert region.setpriv(0, 1, before) == 0


@pytest.mark.parametrize(
    ("index", "value", "error", "text"),
    [
        (0, -1, OverflowError, "id must be between"),
        (1, "x", TypeError, "warn must be an integer"),
        (4, 2**64, OverflowError, r"calls must be between 0 and 2\*\*64 - 1"),
        (6, 2**128, OverflowError, "ipc_from must be an integer of at most 128 bits"),
        (7, -1, OverflowError, "ipc_to must be an integer of at most 128 bits"),
        (7, 1.5, TypeError, "ipc_to must be an integer"),
    ],
)
def test_privileges_are_checked(region: Region, index: int, value: Any, error: type[Exception], text: str) -> None:
    bound(region, 0)
    privileges: list[Any] = [0, 0, 0, 0, 0, 0, 0, 0]
    privileges[index] = value
    with pytest.raises(error, match=text):
        region.setpriv(0, 1, tuple(privileges))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="privileges must be a tuple"):
        region.setpriv(0, 1, (1, 2))  # type: ignore[arg-type]


def test_notify_on_behalf_of_hardware(region: Region, core_errors: None) -> None:
    server = bind(region, SERVER)
    assert region.notify(_core.HARDWARE, server.endpoint, 9) == 0
    message = server.receive(timeout=0)
    assert (message.is_notify, message.source, message.p_nr, message.m9_l1) == (True, -1, -1, 9)


def test_wakeup_is_remembered(region: Region) -> None:
    endpoint = bound(region, SERVER)
    assert region.wakeup(endpoint) == 0
    assert region.step(SERVER, _core.RECEIVE, _core.ANY)[0] == CODES["WOKENUP"]


def test_the_end_of_a_vm_is_told_by_its_state(region: Region) -> None:
    for state_of_vm in (_core.VM_RUNNING, 3):
        with pytest.raises(ValueError, match="state must be VM_ENDED or VM_CORRUPT"):
            region.end(state_of_vm)
    bound(region, SERVER)
    region.end(_core.VM_ENDED)
    assert region.state == _core.VM_ENDED
    assert region.step(SERVER, _core.RECEIVE, _core.ANY)[0] == CODES["VMNOTRUN"]


@pytest.mark.parametrize(("generation", "first"), [(0, 1), (41, 42), (2**32 - 1, None)])
def test_generations_begin_where_they_are_told_to(generation: int, first: int | None) -> None:
    fd = os.memfd_create("drvs-test")
    Region.format(fd, generation=generation)
    region = Region(fd)
    os.close(fd)
    endpoint = bound(region, CLIENT)
    assert region.decode(endpoint) == CLIENT
    assert endpoint > region.encode(CLIENT, 1) if first is None else endpoint == region.encode(CLIENT, first)
    assert bound(region, 5) == region.encode(5, 0)
    assert region.audit() == []


def test_audit_reports_damage(core_errors: None) -> None:
    fd = os.memfd_create("drvs-test")
    Region.format(fd)
    region = Region(fd)
    with mmap.mmap(fd, 0) as memory:
        at = region.layout["slots"] + SERVER * LAYOUT["slot_bytes"] + LAYOUT["slot.self"]
        memory[at : at + 4] = b"\xff" * 4
    os.close(fd)
    findings = region.audit()
    assert findings
    assert all(isinstance(line, str) and line for line in findings)


def test_a_stuck_lock_is_seen_and_broken() -> None:
    fd = os.memfd_create("drvs-test")
    Region.format(fd)
    region = Region(fd)
    with mmap.mmap(fd, 0) as memory:
        assert region.holder()[0] == 0
        memory[LAYOUT["header.lock"] : LAYOUT["header.lock"] + 4] = os.getppid().to_bytes(4, "little")
    os.close(fd)
    assert region.holder()[0] == os.getppid()
    assert region.snapshot(0, lock_ms=20) == CODES["TIMEDOUT"]
    assert region.lock_break(1 + os.getppid()) == CODES["AGAIN"]
    assert region.lock_break(os.getppid()) == 0
    assert isinstance(region.snapshot(0), dict)


# ---- the stepping face -----------------------------------------------------------------------------------------------


def test_a_call_step_by_step(region: Region) -> None:
    server, client = bound(region, SERVER, "server"), bound(region, CLIENT, "client")
    assert region.step(SERVER, _core.RECEIVE, _core.ANY) == (_core.BLOCKED, [])
    code, wakes = region.step(CLIENT, _core.SENDREC, server, Message(3, m1_i1=5))
    assert (code, wakes) == (_core.BLOCKED, [SERVER])
    request = Message()
    code, raw, in_flags, call = region.finish(SERVER, _core.RECEIVE, request)
    assert (code, raw, in_flags & _core.IN_REQUEST) == (0, bytes(request), _core.IN_REQUEST)
    assert (request.source, request.type, request.call, request.is_request) == (client, 3, call, True)
    assert region.step(SERVER, _core.REPLY, client, bytes(Message(4)), answers=call + 1)[0] == CODES["PROCSTS"]
    assert region.step(SERVER, _core.REPLY, client, bytes(Message(4)), answers=call) == (0, [CLIENT])
    assert state(region, CLIENT)["rts"] == 0
    assert region.finish(CLIENT, _core.SENDREC)[0] == 0
    assert region.audit() == []


def test_a_message_taken_at_once_is_put_into_the_message_given(region: Region) -> None:
    server, client = bound(region, SERVER), bound(region, CLIENT)
    assert region.step(CLIENT, _core.SEND, server, Message(3), trace=b"t" * 16)[0] == _core.BLOCKED
    message = Message()
    assert region.step(SERVER, _core.RECEIVE, client, message) == (0, [CLIENT])
    assert (message.type, message.source, message.trace) == (3, client, b"t" * 16)


def test_a_blocked_step_is_cancelled(region: Region) -> None:
    bound(region, SERVER)
    region.step(SERVER, _core.RECEIVE, _core.ANY)
    assert region.cancel(SERVER, CODES["TIMEDOUT"]) == (0, [SERVER])
    assert region.finish(SERVER)[0] == CODES["TIMEDOUT"]
    assert region.cancel(SERVER, CODES["TIMEDOUT"])[0] == CODES["AGAIN"]


def test_unbind_goes_in_steps(region: Region) -> None:
    server = bound(region, SERVER)
    for slot in range(CLIENT, CLIENT + 3):
        bound(region, slot)
        assert region.step(slot, _core.SENDREC, server, Message(1))[0] == _core.BLOCKED
    woken, code = [], _core.MORE
    while code == _core.MORE:
        code, wakes = region.step_unbind(region.members, SERVER, 1)
        woken += wakes
    assert (code, sorted(set(woken))) == (0, [CLIENT, CLIENT + 1, CLIENT + 2])
    assert [region.finish(slot)[0] for slot in range(CLIENT, CLIENT + 3)] == [CODES["DSTDIED"]] * 3
    assert region.audit() == []


def test_a_copy_holds_its_parties(region: Region) -> None:
    bound(region, SERVER)
    client = bound(region, CLIENT)
    region.step(CLIENT, _core.RECEIVE, _core.ANY)
    assert region.copy_begin(SERVER, client, _core.SELF, 100) == (0, CLIENT, SERVER)
    assert state(region, CLIENT)["rts"] & _core.RTS_ONCOPY
    assert region.copy_end(SERVER)[0] == 0
    assert not state(region, CLIENT)["rts"] & _core.RTS_ONCOPY


def test_wakeup_as_a_step(region: Region) -> None:
    server = bound(region, SERVER)
    region.step(SERVER, _core.RECEIVE, _core.ANY)
    assert region.step_wakeup(region.members, server) == (0, [SERVER])
    assert region.finish(SERVER)[0] == CODES["WOKENUP"]


def test_a_step_needs_a_slot_and_a_message_that_fits(region: Region) -> None:
    with pytest.raises(ValueError, match="me must be below 260"):
        region.step(260, _core.RECEIVE, _core.ANY)
    with pytest.raises(ValueError, match="message takes at most 64 bytes, not 65"):
        region.step(SERVER, _core.SEND, 1, bytes(65))


# ---- the module -----------------------------------------------------------------------------------------------------


def test_copy_bytes_between_addresses_of_one_process() -> None:
    import ctypes

    source, target = ctypes.create_string_buffer(b"x" * 100), ctypes.create_string_buffer(100)
    assert _core.copy_bytes(os.getpid(), ctypes.addressof(source), 0, ctypes.addressof(target), 100, 64) == 0
    assert target.raw == b"x" * 100
    assert _core.copy_bytes(os.getpid(), 1, 0, ctypes.addressof(target), 10, 64) == CODES["FAULT"]


def test_codes_are_those_of_the_base_layer() -> None:
    codes = pytest.importorskip("drvs.base.codes")
    for name, value in CODES.items():
        if value <= 0:
            assert codes.Code[name] == value


def test_the_stub_describes_the_module() -> None:
    """Everything the compiled module offers is in _core.pyi, and the other way round."""
    import ast
    from importlib import resources

    tree = ast.parse((resources.files("drvs.core") / "_core.pyi").read_text())

    def names(body: list[ast.stmt]) -> set[str]:
        targets = {n.target.id for n in body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
        return targets | {n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}

    public = {name for name in dir(_core) if not name.startswith("__")}
    assert names(tree.body) - {"Bytes", "Privileges", "ErrorFactory", "CopyFallback", "ProxyFallback"} == public
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            offered = {name for name in vars(getattr(_core, node.name)) if not name.startswith("__")}
            assert {name for name in names(node.body) if not name.startswith("__")} == offered, node.name
