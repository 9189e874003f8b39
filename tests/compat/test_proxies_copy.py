"""Copies between nodes, as proxies see them: all four routes, from every side; one node is real."""

import ctypes

import pytest

from drvs.compat.mnx import *
from support.covers import covers
from support.hand_proxies import hand_proxies, with_data

pytestmark = pytest.mark.root
ME, OTHER, SERVER = 40, 41, 5
BIG = 3 * MAXCOPYBUF + 100
"""Three pieces and a bit."""


@pytest.fixture
def hands(lab):
    """A pair to nodes 1 and 2, with a server at endpoints 5 and 6."""
    with hand_proxies(lab, (1, 2)) as pairs:
        assert mnx_rmtbind(lab.vmid, "one", SERVER, 1) == SERVER
        assert mnx_rmtbind(lab.vmid, "two", SERVER + 1, 2) == SERVER + 1
        yield pairs


def pattern(length, seed=7):
    """Bytes that are not all alike."""
    return bytes((seed * i + i // 251) & 0xFF for i in range(length))


def block(me, content):
    """A child's memory: says its address."""
    memory = ctypes.create_string_buffer(content, len(content))
    me.say(ctypes.addressof(memory))
    return memory


def copying(make_arguments, content=b"\0" * 64):
    """A child's program: copy as soon as it is told to; its code, and its memory then."""

    def program(me):
        memory = block(me, content)
        code = mnx_vcopy(*make_arguments(ctypes.addressof(memory)))
        return code, memory.raw

    return program


def waiting(content):
    """A child's program: wait for a message from the server on node 1, with memory that others may use."""

    def program(me):
        memory = block(me, content)
        code = mnx_receive(SERVER, message())
        return code, memory.raw

    return program


def collect(hands, cmd, src, dst, node, length):
    """The pieces of a copy that goes out, put together; the last header, too."""
    data = b""
    while True:
        header, payload = hands.expect(cmd, src, dst, node)
        data += bytes(payload)[: header.c_len]
        last = header.c_flags & CMD_FLAG_LAST
        assert bool(last) == (len(data) == length), (len(data), length)
        if last:
            return data, header


def send_in_pieces(hands, header, cmd, data, **fields):
    """Deliver data that answers a request, a piece at a time."""
    for at in range(0, len(data), MAXCOPYBUF):
        piece = data[at : at + MAXCOPYBUF]
        copy = vcopy_t.from_buffer_copy(header.c_vcopy)
        copy.v_daddr, copy.v_bytes = (header.c_vcopy.v_daddr or 0) + at, len(piece)
        last = CMD_FLAG_LAST if at + len(piece) == len(data) else 0
        hands.answer(header, cmd=cmd, payload=with_data(piece), c_len=len(piece), c_vcopy=copy, c_flags=last, **fields)


# ---- the requester is here ------------------------------------------------------------------------------------------


@covers("mnx_vcopy", "OK")
@pytest.mark.parametrize("length", [1, 64, MAXCOPYBUF, BIG])
def test_from_here_to_there(lab, hands, length):
    """Local to remote: the data goes along, in pieces; only the last one is acknowledged."""
    content = pattern(length)
    child = lab.bound(ME, copying(lambda at: (SELF, at, SERVER, 0x5000, length), content))
    ep = lab.vm.process(ME).endpoint
    child.wait_line()
    data, header = collect(hands, CMD_COPYIN_DATA, ep, SERVER, 1, length)
    assert data == content
    assert (header.c_vcopy.v_src, header.c_vcopy.v_dst, header.c_vcopy.v_rqtr) == (ep, SERVER, ep)
    lab.wait_rts(ME, 0x2000)  # RMTOPER
    hands.answer(header)
    assert child.result()[0] == OK


@covers("mnx_vcopy", "OK")
@pytest.mark.parametrize("length", [1, MAXCOPYBUF, BIG])
def test_from_there_to_here(lab, hands, length):
    """Remote to local: a request goes, the data comes."""
    content = pattern(length)
    child = lab.bound(ME, copying(lambda at: (SERVER, 0x5000, SELF, at, length), bytes(length)))
    ep = lab.vm.process(ME).endpoint
    address = int(child.wait_line())
    header, _ = hands.take()
    copy = header.c_vcopy
    assert (header.c_cmd, header.c_dnode, copy.v_src, copy.v_dst, copy.v_rqtr) == (CMD_COPYOUT_RQST, 1, SERVER, ep, ep)
    assert (copy.v_saddr, copy.v_daddr, copy.v_bytes) == (0x5000, address, length)
    send_in_pieces(hands, header, CMD_COPYOUT_DATA, content)
    assert child.result() == (OK, content)


@covers("mnx_vcopy", "OK")
def test_between_two_processes_of_one_other_node(lab, hands):
    assert mnx_rmtbind(lab.vmid, "also one", 7, 1) == 7
    child = lab.bound(ME, copying(lambda at: (SERVER, 0x5000, 7, 0x6000, 100)))
    ep = lab.vm.process(ME).endpoint
    child.wait_line()
    header, _ = hands.take()
    copy = header.c_vcopy
    assert (header.c_cmd, header.c_dnode, copy.v_src, copy.v_dst, copy.v_rqtr) == (CMD_COPYLCL_RQST, 1, SERVER, 7, ep)
    assert (copy.v_saddr, copy.v_daddr, copy.v_bytes) == (0x5000, 0x6000, 100)
    hands.answer(header)
    assert child.result()[0] == OK


@covers("mnx_vcopy", "OK")
def test_from_one_other_node_to_another(lab, hands):
    child = lab.bound(ME, copying(lambda at: (SERVER, 0x5000, SERVER + 1, 0x6000, 100)))
    ep = lab.vm.process(ME).endpoint
    child.wait_line()
    header, _ = hands.take()
    copy = header.c_vcopy
    assert (header.c_cmd, header.c_dnode) == (CMD_COPYRMT_RQST, 1)
    assert (copy.v_src, copy.v_dst, copy.v_rqtr, copy.v_bytes) == (SERVER, SERVER + 1, ep, 100)
    # node 1 sends COPYIN_RQST to node 2, which answers for it
    hands.answer(header, c_src=SERVER + 1, c_snode=2)
    assert child.result()[0] == OK


@covers("mnx_vcopy", "EMOLPROCSTS", "EMOLSRCDIED", "EMOLDSTDIED", "EMOLBUSY")
@pytest.mark.parametrize("code", [EMOLPROCSTS, EMOLSRCDIED, EMOLDSTDIED, EMOLBUSY, EMOLFAULT])
@pytest.mark.parametrize("way", ["in", "out"])
def test_what_fails_there_fails_here(lab, hands, way, code):
    arguments = {"in": lambda at: (SELF, at, SERVER, 0x5000, 64), "out": lambda at: (SERVER, 0x5000, SELF, at, 64)}[way]
    child = lab.bound(ME, copying(arguments))
    child.wait_line()
    header, _ = hands.take()
    hands.answer(header, code, c_flags=CMD_FLAG_LAST)
    assert child.result()[0] == code


@covers("mnx_vcopy", "EMOLNOTCONN", "EMOLNOPROXY", "EMOLNOVMNODE")
@pytest.mark.parametrize("end", ["EMOLNOTCONN", "EMOLNOPROXY", "EMOLNOVMNODE"])
def test_a_copy_ends_with_its_road(lab, hands, end):
    child = lab.bound(ME, copying(lambda at: (SELF, at, SERVER, 0x5000, 64)))
    child.wait_line()
    hands.take()
    {
        "EMOLNOTCONN": lambda: mnx_proxy_conn(1, DISCONNECT_RPROXY),
        "EMOLNOPROXY": lambda: mnx_node_down(1),
        "EMOLNOVMNODE": lambda: mnx_del_node(lab.vmid, 1),
    }[end]()
    assert child.result()[0] == globals()[end]


def test_a_third_process_of_this_node_may_be_the_destination(lab, hands):
    content = pattern(200)
    owner = lab.bound(OTHER, waiting(bytes(200)))
    address = int(owner.wait_line())
    lab.wait_rts(OTHER, 8)
    other = lab.vm.process(OTHER).endpoint
    child = lab.bound(ME, copying(lambda at: (SERVER, 0x5000, other, address, 200)))
    child.wait_line()
    header, _ = hands.take()
    assert (header.c_cmd, header.c_vcopy.v_dst) == (CMD_COPYOUT_RQST, other)
    send_in_pieces(hands, header, CMD_COPYOUT_DATA, content)
    assert child.result()[0] == OK
    hands.put(CMD_SEND_MSG, SERVER, other, with_data(bytes(64)))
    assert owner.result() == (OK, content)


# ---- the requester is there ------------------------------------------------------------------------------------------


def put_copy(hands, cmd, src, dst, payload=None, *, rqtr=SERVER, saddr=0, daddr=0, nbytes=0, **fields):
    """Deliver a command of a copy that a process of node 1 asks for."""
    copy = vcopy_t(src, dst, rqtr, saddr, daddr, nbytes)
    return hands.put(cmd, fields.pop("c_src", src), fields.pop("c_dst", dst), payload, c_vcopy=copy, **fields)


def test_data_from_there_goes_into_the_memory_of_a_process_here(lab, hands):
    content = pattern(BIG)
    child = lab.bound(ME, waiting(bytes(BIG)))
    ep = lab.vm.process(ME).endpoint
    address = int(child.wait_line())
    lab.wait_rts(ME, 8)
    for at in range(0, BIG, MAXCOPYBUF):
        piece = content[at : at + MAXCOPYBUF]
        last = CMD_FLAG_LAST if at + len(piece) == BIG else 0
        code = put_copy(
            hands, CMD_COPYIN_DATA, SERVER, ep, with_data(piece), daddr=address + at, nbytes=len(piece),
            c_len=len(piece), c_flags=last, c_call=3,
        )  # fmt: skip
        assert code == OK
        if not last:
            assert hands.nothing()
    header, _ = hands.expect(CMD_COPYIN_ACK, ep, SERVER)
    assert header.c_call == 3
    hands.put(CMD_SEND_MSG, SERVER, ep, with_data(bytes(64)))
    assert child.result() == (OK, content)


def test_memory_of_a_process_here_goes_there(lab, hands):
    content = pattern(BIG)
    child = lab.bound(ME, waiting(content))
    ep = lab.vm.process(ME).endpoint
    address = int(child.wait_line())
    lab.wait_rts(ME, 8)
    code = put_copy(
        hands, CMD_COPYOUT_RQST, ep, SERVER, saddr=address, daddr=0x7000, nbytes=BIG, c_src=SERVER, c_dst=ep, c_call=4
    )
    assert code == OK
    data, header = collect(hands, CMD_COPYOUT_DATA, ep, SERVER, 1, BIG)
    assert data == content
    assert header.c_call == 4
    hands.put(CMD_SEND_MSG, SERVER, ep, with_data(bytes(64)))
    assert child.result()[0] == OK


def test_a_process_there_has_two_of_this_node_copy(lab, hands):
    content = pattern(100)
    children = lab.bound(ME, waiting(content)), lab.bound(OTHER, waiting(bytes(100)))
    addresses = [int(child.wait_line()) for child in children]
    for p_nr in (ME, OTHER):
        lab.wait_rts(p_nr, 8)
    src, dst = lab.vm.process(ME).endpoint, lab.vm.process(OTHER).endpoint
    code = put_copy(
        hands, CMD_COPYLCL_RQST, src, dst, saddr=addresses[0], daddr=addresses[1], nbytes=100, c_src=SERVER, c_dst=src
    )
    assert code == OK
    header, _ = hands.take()
    assert (header.c_cmd, header.c_dst, header.c_dnode, header.c_rcode) == (CMD_COPYLCL_ACK, SERVER, 1, OK)
    for ep in (src, dst):
        hands.put(CMD_SEND_MSG, SERVER, ep, with_data(bytes(64)))
        hands.take()
    assert [child.result() for child in children] == [(OK, content), (OK, content)]


def test_a_process_there_has_data_of_this_node_sent_to_a_third(lab, hands):
    content = pattern(100)
    child = lab.bound(ME, waiting(content))
    ep = lab.vm.process(ME).endpoint
    address = int(child.wait_line())
    lab.wait_rts(ME, 8)
    code = put_copy(
        hands, CMD_COPYRMT_RQST, ep, SERVER + 1, saddr=address, daddr=0x7000, nbytes=100, c_src=SERVER, c_dst=ep,
        c_answers=2,
    )  # fmt: skip
    assert code == OK
    header, payload = hands.take()
    assert (header.c_cmd, header.c_dnode, header.c_vcopy.v_dst) == (CMD_COPYIN_RQST, 2, SERVER + 1)
    assert bytes(payload)[: header.c_len] == content
    assert header.c_rnode == 1 + 1  # whom node 2 is to answer
    hands.put(CMD_SEND_MSG, SERVER, ep, with_data(bytes(64)))
    assert child.result()[0] == OK


def test_data_of_a_second_node_that_a_third_asked_for_arrives_and_the_third_is_told(lab, hands):
    content = pattern(100)
    child = lab.bound(ME, waiting(bytes(100)))
    ep = lab.vm.process(ME).endpoint
    address = int(child.wait_line())
    lab.wait_rts(ME, 8)
    code = put_copy(
        hands, CMD_COPYIN_RQST, SERVER + 1, ep, with_data(content), rqtr=SERVER, daddr=address, nbytes=100, c_len=100,
        c_snode=2, c_rnode=1 + 1, c_flags=CMD_FLAG_LAST,
    )  # fmt: skip
    assert code == OK
    header, _ = hands.take()
    assert (header.c_cmd, header.c_dst, header.c_dnode, header.c_rcode) == (CMD_COPYRMT_ACK, SERVER, 1, OK)
    hands.put(CMD_SEND_MSG, SERVER, ep, with_data(bytes(64)))
    assert child.result() == (OK, content)


@pytest.mark.parametrize("cmd", [CMD_COPYIN_DATA, CMD_COPYOUT_RQST])
def test_a_party_here_that_does_not_wait_is_told_of(lab, hands, cmd):
    child = lab.bound(ME, lambda me: me.hear())
    ep = lab.vm.process(ME).endpoint
    if cmd == CMD_COPYIN_DATA:
        code = put_copy(
            hands, cmd, SERVER, ep, with_data(b"x"), daddr=1, nbytes=1, c_len=1, c_flags=CMD_FLAG_LAST
        )  # fmt: skip
    else:
        code = put_copy(hands, cmd, ep, SERVER, saddr=1, nbytes=1, c_src=SERVER, c_dst=ep)
    assert code == OK
    header, _ = hands.take()
    assert (header.c_cmd, header.c_rcode) == (cmd | MASK_ACKNOWLEDGE, EMOLPROCSTS)
    child.tell("end")
