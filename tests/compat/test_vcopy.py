"""mnx_vcopy: whose memory, which direction, and every refusal (guide 3.1.6)."""

import ctypes
import os

import pytest

from drvs import core
from drvs.compat.mnx import *
from support.children import spawn
from support.covers import covers
from support.users import spawn_as_nobody

SIZES = [0, 1, 4096, 100_000, MAXCOPYLEN]


def pattern(size):
    return bytes(index * 7 % 251 for index in range(size))


def client(me, server, size):
    """Offer a full and an empty buffer to the server, and return what the empty one holds after the call."""
    full, empty = ctypes.create_string_buffer(pattern(size), max(size, 1)), ctypes.create_string_buffer(max(size, 1))
    m = message(m1_i1=size, m1_p1=addressof(full), m1_p2=addressof(empty))
    assert mnx_sendrec(server, m) == OK
    return empty.raw[:size]


@covers("mnx_vcopy", "OK")
@pytest.mark.parametrize("size", SIZES)
def test_a_server_copies_out_of_and_into_a_client_that_waits_for_it(lab, size):
    def server(me):
        m = message()
        assert mnx_rcvrqst(m) == OK
        mine = ctypes.create_string_buffer(max(size, 1))
        codes = [
            mnx_vcopy(m.m_source, m.m1_p1, 2, addressof(mine), size),
            mnx_vcopy(SELF, addressof(mine), m.m_source, m.m1_p2, size),
        ]
        assert mnx_reply(m.m_source, m) == OK
        return codes, mine.raw[:size] == pattern(size)

    serving = lab.bound(2, server)
    assert lab.bound(41, client, 2, size).result() == pattern(size)
    assert serving.result() == ([OK, OK], True)


@covers("mnx_vcopy", "OK")
@pytest.mark.parametrize("size", SIZES)
def test_a_third_party_copies_between_two_clients(lab, size):
    def server(me):
        one, two = message(), message()
        assert mnx_rcvrqst(one) == OK
        assert mnx_rcvrqst(two) == OK
        code = mnx_vcopy(one.m_source, one.m1_p1, two.m_source, two.m1_p2, size)
        for m in (one, two):
            assert mnx_reply(m.m_source, m) == OK
        return code

    serving = lab.bound(2, server)
    lab.bound(41, client, 2, size)
    lab.wait_rts(41, RTS_FLAGS["RECEIVING"])
    assert lab.bound(42, client, 2, size).result() == pattern(size)
    assert serving.result() == OK


def test_a_party_that_waits_in_a_plain_receive_can_be_copied_from(lab):
    source = ctypes.create_string_buffer(b"in the open", 11)
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])

    def requester(me):
        mine = ctypes.create_string_buffer(11)
        return mnx_vcopy(3, addressof(source), SELF, addressof(mine), 11), mine.raw  # a fork: the same address

    assert lab.bound(2, requester).result() == (OK, b"in the open")


def copier(me, source, destination, nbytes=1):
    """Copy between two endpoints; the addresses are this process's, and good in its siblings too."""
    buffer = ctypes.create_string_buffer(max(nbytes, 1))
    return mnx_vcopy(source, addressof(buffer), destination, addressof(buffer), nbytes)


@covers("mnx_vcopy", "EMOLRANGE")
@pytest.mark.parametrize("nbytes", [-1, MAXCOPYLEN + 1])
def test_a_length_out_of_range_is_refused(lab, nbytes):
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])
    buffer = ctypes.create_string_buffer(MAXCOPYLEN + 1)
    child = lab.bound(2, lambda me: mnx_vcopy(3, addressof(buffer), SELF, addressof(buffer), nbytes))
    assert child.result() == EMOLRANGE


@covers("mnx_vcopy", "EMOLENDPOINT")
@pytest.mark.parametrize(
    ("source", "destination"), [(SELF, SELF), (2, 2), (3, 3), (ANY, SELF), (SELF, NONE), (20_000, SELF)]
)
def test_the_parties_must_be_two_endpoints(lab, source, destination):
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])
    assert lab.bound(2, copier, source, destination).result() == EMOLENDPOINT


@covers("mnx_vcopy", "EMOLSRCDIED", "EMOLDSTDIED")
def test_a_party_that_has_died_is_told_by_its_role(lab):
    gone = lab.ended_slot(60)
    child = lab.bound(2, lambda me: [copier(me, gone, SELF), copier(me, SELF, gone)])
    assert child.result() == [EMOLSRCDIED, EMOLDSTDIED]


@covers("mnx_vcopy", "EMOLPROCSTS")
def test_a_party_that_does_not_receive_is_not_ready_to_be_copied(lab):
    lab.bound(3, lambda me: me.hear())
    assert lab.bound(2, copier, 3, SELF).result() == EMOLPROCSTS
    assert lab.bound(4, copier, SELF, 3).result() == EMOLPROCSTS


@covers("mnx_vcopy", "EMOLPROCSTS")
def test_a_party_that_still_sends_is_not_ready_to_be_copied(lab):
    lab.bound(4, lambda me: me.hear())
    lab.bound(3, lambda me: mnx_sendrec(4, message()))
    lab.wait_rts(3, RTS_FLAGS["SENDING"])
    assert lab.bound(2, copier, 3, SELF).result() == EMOLPROCSTS


@covers("mnx_vcopy", "EMOLBUSY")
def test_a_party_in_another_copy_is_busy(lab):
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])
    holder = lab.bound(5, lambda me: me.hear())
    region = core.Region(lab.descriptor())
    slot = region.decode(5)
    assert region.copy_begin(slot, 3, 5, 1)[0] == OK  # as if 5 were in the middle of it
    assert lab.bound(2, copier, 3, SELF).result() == EMOLBUSY
    assert region.copy_end(slot)[0] == OK
    assert lab.bound(4, copier, 3, SELF).result() == OK
    holder.tell()


def test_memory_that_is_not_mapped_is_a_fault(lab):
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])

    def requester(me):
        mine = ctypes.create_string_buffer(16)
        return [mnx_vcopy(3, 4096, SELF, addressof(mine), 16), mnx_vcopy(SELF, addressof(mine), 3, None, 16)]

    assert lab.bound(2, requester).result() == [EMOLFAULT, EMOLFAULT]


@covers("mnx_vcopy", "-EPERM")
@pytest.mark.root
def test_only_root_or_the_owner_of_the_node_copies(lab):
    def stranger(me):
        assert mnx_wait4bind() > 0
        return copier(me, 3, SELF)

    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])
    child = spawn_as_nobody(stranger)
    assert mnx_lclbind(lab.vmid, child.pid, 50) > 0
    assert child.result() == -EPERM


def test_a_client_killed_in_the_middle_of_many_copies_is_noticed(lab):
    def server(me):
        m, mine = message(), ctypes.create_string_buffer(MAXCOPYLEN)
        assert mnx_rcvrqst(m) == OK
        me.say("copying")
        while (code := mnx_vcopy(m.m_source, m.m1_p1, SELF, addressof(mine), MAXCOPYLEN)) == OK:
            pass
        return code

    serving = lab.bound(2, server)
    caller = lab.bound(41, client, 2, MAXCOPYLEN)
    serving.wait_line("copying")
    caller.kill()
    assert serving.result() == EMOLSRCDIED


def test_addresses_may_be_pointers_of_ctypes(lab):
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])

    def requester(me):
        mine = ctypes.c_int(5)
        there = ctypes.c_void_p(ctypes.addressof(mine))
        return [mnx_vcopy(SELF, ctypes.byref(mine), 3, there, 4), mnx_vcopy(SELF, ctypes.pointer(mine), 3, mine, 4)]

    assert lab.bound(2, requester).result() == [OK, OK]


def test_os_pipes_are_not_needed(lab):
    """A copy between two processes leaves no descriptor behind in the one who asks for it."""
    lab.bound(3, lambda me: mnx_receive(ANY, message()))
    lab.wait_rts(3, RTS_FLAGS["RECEIVING"])

    def requester(me):
        copier(me, 3, SELF)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            copier(me, 3, SELF)
        return len(os.listdir("/proc/self/fd")) - before

    assert lab.bound(2, requester).result() == 0


def test_a_process_that_is_not_bound_asks_in_vain(node):
    assert spawn(lambda me: copier(me, 3, SELF)).result() == EMOLNOTBIND
