"""The guide's structures have its layout, numbers and names."""

import ctypes

import pytest

import drvs
from drvs.compat import mnx


def test_a_message_is_64_bytes_with_8_of_header():
    assert ctypes.sizeof(mnx.message) == 64
    assert mnx.message.m_source.offset == 0
    assert mnx.message.m_type.offset == 4
    assert ctypes.sizeof(mnx.message_union) == 56


FIELDS = sorted(
    name for name in dir(drvs.Message) if name[0] == "m" and name[1:2] in "123456789A" and "_" in name
)  # every view of the C type


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_lies_where_the_core_has_it(field):
    ours, guides = drvs.Message(), mnx.message()
    if field == "m9_t1":
        ours.m9_t1 = (11, 22)
        guides.m9_t1.tv_sec, guides.m9_t1.tv_nsec = 11, 22
    elif field == "mA_ia":
        ours.mA_ia = (1, 2, 3, 4)
        guides.mA_ia[:] = [1, 2, 3, 4]
    elif field.endswith("ca1"):
        setattr(ours, field, b"some text")
        setattr(guides, field, b"some text")
    else:
        setattr(ours, field, 12345)
        setattr(guides, field, 12345)
    assert bytes(ours.data) == bytes(guides)


def test_all_views_of_the_core_are_views_of_the_guide():
    assert len(FIELDS) == len([name for name in FIELDS if hasattr(mnx.message, name)]) > 40


@pytest.mark.parametrize(
    ("structure", "size"),
    [
        (mnx.drvs_usr_t, 48),
        (mnx.VM_usr_t, 48 + 128),
        (mnx.proc_usr_t, 96 + 128),
        (mnx.priv_usr_t, 80),
        (mnx.node_usr_t, 80),
        (mnx.cmd_t, 136),
        (mnx.sys_map_t, 12),
        (mnx.moltimer_t, 32),
        (mnx.proxy_payload_t, 32768),
    ],
)
def test_structures_have_the_size_of_their_c_twins(structure, size):
    assert ctypes.sizeof(structure) == size


def test_the_header_of_a_command_begins_with_the_guides_88_bytes():
    assert mnx.cmd_t.c_flags.offset == 88


def test_a_system_map_takes_the_bits_it_has_room_for():
    chosen = mnx.sys_map_t()
    chosen.assign(1 << 95 | 1 << 40 | 1 << 200 | 1)
    assert int(chosen) == 1 << 95 | 1 << 40 | 1
    assert chosen.chunk[0] == 1


def test_codes_have_the_guides_names_and_numbers():
    assert (mnx.EMOLDSTDIED, mnx.EMOLNOTBIND, mnx.EMOLTIMEDOUT, mnx.EMOLAGAIN, mnx.EMOL2BIG) == (
        -109,
        -310,
        -61,
        -11,
        -7,
    )
    assert (mnx.EMOLNOTVMRUN, mnx.EMOLPROXY) == (mnx.EMOLVMNOTRUN, mnx.EMOLBADPROXY)
    for code in drvs.Code:
        name = f"EMOL{code.name}" if code is not drvs.Code.TOOBIG else "EMOL2BIG"
        assert code is drvs.Code.OK or getattr(mnx, name) == code


def test_notify_from_is_the_type_of_a_notification():
    assert mnx.NOTIFY_FROM(5) == 0x1005


def test_a_star_import_brings_the_guide_and_nothing_else():
    names = {}
    exec("from drvs.compat.mnx import *", names)
    assert {"mnx_send", "mnx_tbind", "message", "OK", "EMOLDSTDIED", "NR_VMS", "mnx_errno", "addressof"} <= set(names)
    assert not {"ctypes", "threading", "Any", "Structure", "Call", "annotations"} & set(names)


def test_every_call_is_documented():
    calls = [getattr(mnx, name) for name in mnx.__all__ if name.startswith("mnx_")]
    assert len(calls) > 50
    assert all(call.__doc__ for call in calls)
