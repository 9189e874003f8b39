"""The side of the proxies: doorbell, order, full links, several VMs, headers by hand, what is refused to whom."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from drvs.core import CODES, Endpoint, Proxy, Region, _core, decode_command, encode_command, refuse_command
from support.nodes_in_one import BLOCKED, OK, USER, Nodes, route, split
from support.regions import make_region

CLIENT, SERVER = USER, USER + 1


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    nodes = Nodes(3)
    nodes[0].bind(CLIENT)
    nodes[1].bind(SERVER)
    assert nodes[0].bind_remote(server_of(nodes), 1) == OK
    yield nodes
    assert nodes.audit() == []


def client_of(nodes: Nodes) -> int:
    """The client's endpoint."""
    return int(nodes[0].region.encode(CLIENT, 1))


def server_of(nodes: Nodes) -> int:
    """The server's endpoint."""
    return int(nodes[1].region.encode(SERVER, 1))


# ---- the doorbell --------------------------------------------------------------------------------------


def rung(doorbell: int) -> bool:
    """Whether it was, since the last look."""
    try:
        return bool(os.read(doorbell, 8))
    except BlockingIOError:
        return False


def test_the_doorbell_rings_once_for_an_armed_proxy(nodes: Nodes) -> None:
    node, doorbell = nodes[0], os.eventfd(0, os.EFD_NONBLOCK)
    node.region.doorbell = doorbell
    assert node.region.doorbell == doorbell
    others = [node.bind(USER + 10 + i) for i in range(2)]
    node.step(client_of(nodes), _core.SEND, server_of(nodes))
    assert not rung(doorbell)
    assert node.proxy.ready()
    assert not node.proxy.arm()
    node.proxy.take()
    assert not node.proxy.ready()
    assert node.proxy.arm()
    assert node.proxy.arm()
    node.step(others[0], _core.SEND, server_of(nodes))
    assert rung(doorbell)
    node.step(others[1], _core.SEND, server_of(nodes))
    assert not rung(doorbell)
    assert len(node.proxy.take()) == 2
    node.region.doorbell = -1
    os.close(doorbell)


def test_the_doorbell_rings_for_the_last_of_several(nodes: Nodes) -> None:
    node, doorbell = nodes[0], os.eventfd(0, os.EFD_NONBLOCK)
    node.region.doorbell = doorbell
    senders = [node.bind(USER + 10 + i) for i in range(5)]
    assert node.proxy.arm(None, 2)
    node.step(senders[0], _core.SEND, server_of(nodes))
    assert not rung(doorbell)
    assert not node.proxy.arm(commands=3)
    node.step(senders[1], _core.SEND, server_of(nodes))
    assert rung(doorbell)
    assert (len(node.proxy.take()), node.proxy.taken) == (2, 2)
    assert node.proxy.arm(commands=5)
    assert node.proxy.arm()  # the last word counts
    node.step(senders[2], _core.SEND, server_of(nodes))
    assert rung(doorbell)
    node.step(senders[3], _core.SEND, server_of(nodes))
    assert not rung(doorbell)
    assert node.region.audit() == []
    with pytest.raises(OverflowError, match="commands"):
        node.proxy.arm(commands=0)
    node.region.doorbell = -1
    os.close(doorbell)


def test_a_pair_that_waits_for_more_does_not_take_back_anothers_ring(nodes: Nodes) -> None:
    """One step answers a client of node 0, by pair 0, and receives from node 2, which is told so by pair 1."""
    node, other, doorbell = nodes[1], Proxy(1, 1), os.eventfd(0, os.EFD_NONBLOCK)
    other.add(node.region)
    assert node.region.set_route(2, route(1)) == OK
    client, sender, server = client_of(nodes), nodes[2].bind(USER + 12), server_of(nodes)
    assert nodes[2].bind_remote(server, 1) == OK
    node.region.doorbell = doorbell
    endpoint = Endpoint(node.region, USER + 1, node.state(server)["incarnation"], server, 0)
    nodes[0].step(client, _core.SENDREC, server)
    nodes.carry()
    request = endpoint.receive()
    nodes[2].step(sender, _core.SEND, server)
    nodes.carry()
    rung(doorbell)
    assert node.proxy.arm()
    assert other.arm(commands=5)
    assert endpoint.reply_receive(request, request).source == sender
    assert rung(doorbell)
    assert (len(node.proxy.take()), len(other.take())) == (1, 1)
    endpoint.close()
    node.region.doorbell = -1
    os.close(doorbell)


def test_each_vm_rings_for_its_share(nodes: Nodes) -> None:
    node, doorbell = nodes[0], os.eventfd(0, os.EFD_NONBLOCK)
    node.region.doorbell = doorbell
    node.proxy.add(make_region(vmid=8, node=0))
    node.proxy.add(make_region(vmid=9, node=0))
    senders = [node.bind(USER + 10 + i) for i in range(2)]
    assert node.proxy.arm(commands=5)
    node.step(senders[0], _core.SEND, server_of(nodes))
    assert not rung(doorbell)
    node.step(senders[1], _core.SEND, server_of(nodes))
    assert rung(doorbell)
    node.region.doorbell = -1
    os.close(doorbell)


def test_a_proxy_counts_whom_it_has_roused(nodes: Nodes) -> None:
    nodes[0].step(client_of(nodes), _core.SENDREC, server_of(nodes))
    nodes.carry()
    there = nodes[1].proxy
    assert (nodes[0].proxy.taken, nodes[0].proxy.roused, there.taken, there.roused) == (1, 0, 0, 1)
    code, request = nodes[1].receive(server_of(nodes))
    assert code == OK
    nodes[1].step(server_of(nodes), _core.REPLY, request.source)
    nodes.carry()
    assert (nodes[0].proxy.roused, there.taken) == (1, 1)
    nodes[0].step(client_of(nodes), _core.NOTIFY, server_of(nodes))
    nodes.carry()
    assert there.roused == 1  # a notification asks for nothing


def test_what_waits_for_a_node_that_is_skipped_does_not_keep_a_proxy_awake(nodes: Nodes) -> None:
    node, doorbell = nodes[0], os.eventfd(0, os.EFD_NONBLOCK)
    node.region.doorbell = doorbell
    other = node.bind(USER + 10)
    node.step(client_of(nodes), _core.SEND, server_of(nodes))
    assert not node.proxy.arm(frozenset())
    assert node.proxy.arm(frozenset({1}))
    assert node.region.audit() == []
    node.step(other, _core.SEND, server_of(nodes))
    assert rung(doorbell)
    assert not node.proxy.arm()
    assert len(node.proxy.take()) == 2
    assert node.proxy.arm(frozenset({1}))
    node.region.doorbell = -1
    os.close(doorbell)


def test_an_answer_rings_too(nodes: Nodes) -> None:
    node, doorbell = nodes[1], os.eventfd(0, os.EFD_NONBLOCK)
    node.region.doorbell = doorbell
    nodes[0].step(client_of(nodes), _core.SEND, server_of(nodes))
    nodes.carry()
    assert node.proxy.arm()
    assert node.receive(server_of(nodes))[0] == OK
    assert rung(doorbell)
    os.close(doorbell)


# ---- taking --------------------------------------------------------------------------------------


def test_commands_come_oldest_first_and_full_links_are_left_alone(nodes: Nodes) -> None:
    node, far = nodes[0], nodes[2].bind(USER + 40)
    assert node.bind_remote(far, 2) == OK
    callers = [node.bind(USER + 10 + i) for i in range(6)]
    for i, caller in enumerate(callers):
        assert node.step(caller, _core.SEND, (server_of(nodes), far)[i % 2]) == BLOCKED
    assert [(to, c["src"]) for to, c in node.take(2)] == [(1, callers[0]), (2, callers[1])]
    assert [(to, c["src"]) for to, c in node.take(skip=frozenset({1}))] == [(2, callers[3]), (2, callers[5])]
    assert node.take(skip=frozenset({1, 2})) == []
    assert node.proxy.ready()
    assert [c["src"] for _, c in node.take()] == [callers[2], callers[4]]


def test_what_goes_to_one_node_is_taken_as_one_buffer(nodes: Nodes) -> None:
    node, far = nodes[0], nodes[2].bind(USER + 40)
    assert node.bind_remote(far, 2) == OK
    callers = [node.bind(USER + 10 + i) for i in range(6)]
    for i, caller in enumerate(callers):
        assert node.step(caller, _core.SEND, (server_of(nodes), far)[i // 2 % 2], b"%d" % i) == BLOCKED

    def take(limit: int, nbytes: int, **options: Any) -> list[tuple[int, list[int]]]:
        runs = node.proxy.take_runs(limit, nbytes, now_ns=1_000_000_007, **options)
        for to, records, count in runs:
            commands = [decode_command(record) for record in split(records)]
            assert len(commands) == count
            assert {(c["dnode"], c["time_ns"]) for c in commands} == {(to, 1_000_000_007)}
            assert [c["payload"][8:9] for c in commands] == [b"%d" % callers.index(c["src"]) for c in commands]
        return [(to, [callers.index(decode_command(r)["src"]) for r in split(records)]) for to, records, _ in runs]

    assert take(64, 1, skip=frozenset({1})) == [(2, [2])], "one record may exceed it"
    assert take(3, 1 << 20) == [(1, [0, 1]), (2, [3])]
    assert take(64, 1 << 20, skip=frozenset({1, 2})) == []
    assert take(64, 1 << 20) == [(1, [4, 5])]
    assert node.proxy.take_runs(64, 1 << 20) == []
    with pytest.raises(OverflowError, match="nbytes"):
        node.proxy.take_runs(64, 0)


def test_a_header_says_everything(nodes: Nodes) -> None:
    node, client, server = nodes[0], client_of(nodes), server_of(nodes)
    node.step(client, _core.SENDREC, server, b"request")
    [(to, record)] = node.proxy.take(now_ns=123_456_789_012)
    fields = decode_command(record)
    assert to == 1
    assert {key: value for key, value in fields.items() if value and key not in ("payload", "trace")} == {
        "cmd": _core.CMD_SNDREC_MSG, "vmid": 7, "src": client, "dst": server, "dnode": 1,
        "call": node.state(client)["call"], "incarnation": node.state(client)["incarnation"],
        "time_ns": 123_456_789_012,
    }  # fmt: skip
    assert fields["payload"][:4] == client.to_bytes(4, "little")
    assert fields["payload"][8:15] == b"request"


def test_one_proxy_serves_several_vms() -> None:
    first, second = Nodes(2), Nodes(2, vmid=8, name="other")
    proxy = Proxy(0, 0)
    proxy.add(first[0].region)
    proxy.add(second[0].region)
    assert sorted(proxy.vmids) == [7, 8]
    for nodes in (first, second):
        client, server = nodes[0].bind(CLIENT), nodes[1].bind(SERVER)
        assert nodes[0].bind_remote(server, 1) == OK
        nodes[0].step(client, _core.SEND, server)
    assert sorted(decode_command(record)["vmid"] for _, record in proxy.take()) == [7, 8]
    proxy.remove(8)
    assert proxy.vmids == [7]
    with pytest.raises(KeyError):
        proxy.remove(8)
    assert proxy.put(encode_command({"cmd": _core.CMD_SEND_ACK, "vmid": 8})) == [(0, CODES["BADVMID"])]


def test_a_sender_and_a_receiver_can_be_two(nodes: Nodes) -> None:
    sender, receiver = Proxy(0, 1, receives=False), Proxy(0, 1, sends=False)
    sender.add(nodes[1].region)
    receiver.add(nodes[1].region)
    nodes[0].step(client_of(nodes), _core.SENDREC, server_of(nodes))
    [(_, record)] = nodes[0].proxy.take()
    assert sender.put(record) == [(0, CODES["BADVMID"])]
    assert receiver.put(record) == []
    assert nodes[1].receive(server_of(nodes))[1].is_request
    nodes[1].step(server_of(nodes), _core.REPLY, client_of(nodes))
    assert receiver.take() == []
    assert len(sender.take()) == 1


def test_what_a_proxy_cannot_serve() -> None:
    with pytest.raises(ValueError, match="takes 2 proxy pairs"):
        Proxy(2, 0).add(make_region(nr_proxies=2))
    with pytest.raises(TypeError, match="must be a Region"):
        Proxy(0, 0).add(1)  # type: ignore[arg-type]
    with pytest.raises(OverflowError, match="px must be between"):
        Proxy(256, 0)


# ---- putting --------------------------------------------------------------------------------------


def ask(nodes: Nodes, **changes: Any) -> bytes:
    """A request from the client to the server, changed."""
    fields = {
        "cmd": _core.CMD_SNDREC_MSG,
        "vmid": 7,
        "src": client_of(nodes),
        "dst": server_of(nodes),
        "snode": 0,
        "dnode": 1,
    }
    return encode_command({**fields, "call": 5, "payload": bytes(64), **changes})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"dnode": 0}, "BADNODEID"),
        ({"snode": 31}, "NOVMNODE"),
        ({"snode": 40}, "BADNODEID"),
        ({"vmid": 9}, "BADVMID"),
        ({"src": 2**31 - 1}, "RANGE"),
        ({"dst": -70}, "RANGE"),
        ({"src": 3}, "NOTBIND"),
    ],
)
def test_a_command_that_nobody_can_answer_is_given_back(nodes: Nodes, changes: dict[str, int], code: str) -> None:
    good = encode_command({"cmd": _core.CMD_HELLO, "vmid": 7, "dnode": 1, "snode": 0})
    assert nodes[1].proxy.put(good + ask(nodes, **changes)) == [(len(good), CODES[code])]


def generation(nodes: Nodes, number: int) -> int:
    """The endpoint of the owner of a slot with that number, or with the last but so many for one below 1."""
    region = nodes[1].region
    highest = (2**31 - 1) // (region.encode(0, 1) - region.encode(0, 0)) - 1
    return int(region.encode(USER + 20, number if number > 0 else highest + number))


@pytest.mark.parametrize(("there", "comes"), [(1, 2), (0, 1), (-5, 3), (7, 900)])
def test_a_later_owner_of_a_slot_takes_the_place_of_an_earlier_one(nodes: Nodes, there: int, comes: int) -> None:
    node = nodes[1]
    assert node.bind_remote(generation(nodes, there), 0) == OK
    assert node.proxy.put(ask(nodes, src=generation(nodes, comes)), 0) == []
    assert node.state(generation(nodes, comes))["endpoint"] == generation(nodes, comes)
    assert node.receive(server_of(nodes))[1].source == generation(nodes, comes)


@pytest.mark.parametrize(("there", "comes"), [(2, 1), (1, 0), (3, -5), (900, 7)])
def test_late_words_of_an_earlier_owner_of_a_slot_are_refused(nodes: Nodes, there: int, comes: int) -> None:
    node = nodes[1]
    assert node.bind_remote(generation(nodes, there), 0) == OK
    assert node.proxy.put(ask(nodes, src=generation(nodes, comes)), 0) == [(0, CODES["SRCDIED"])]
    assert node.state(generation(nodes, there))["endpoint"] == generation(nodes, there)
    assert node.receive(server_of(nodes))[0] == BLOCKED


def test_a_node_speaks_for_itself_alone(nodes: Nodes) -> None:
    assert nodes[1].proxy.put(ask(nodes), 2) == [(0, CODES["BADNODEID"])]
    assert nodes[1].proxy.put(ask(nodes), 0) == []


def test_records_before_a_malformed_one_are_delivered(nodes: Nodes) -> None:
    with pytest.raises(ValueError, match="at offset 160: it is shorter than a header"):
        nodes[1].proxy.put(ask(nodes) + b"garbage")
    assert nodes[1].receive(server_of(nodes))[0] == OK


def test_a_node_that_is_not_connected_says_nothing(nodes: Nodes) -> None:
    nodes[1].region.set_route(0, route(0, _core.ROUTE_VM))
    assert nodes[1].proxy.put(ask(nodes)) == [(0, CODES["NOTCONN"])]


@pytest.mark.parametrize(
    ("cmd", "answer", "to"),
    [
        (_core.CMD_SEND_MSG, _core.CMD_SEND_ACK, 0),
        (_core.CMD_SNDREC_MSG, _core.CMD_SNDREC_ACK, 0),
        (_core.CMD_REPLY_MSG, _core.CMD_REPLY_ACK, 0),
        (_core.CMD_COPYIN_DATA, _core.CMD_COPYIN_ACK, 2),
        (_core.CMD_COPYOUT_RQST, _core.CMD_COPYOUT_DATA, 2),
        (_core.CMD_COPYRMT_RQST, _core.CMD_COPYRMT_ACK, 2),
        (_core.CMD_COPYIN_RQST, _core.CMD_COPYRMT_ACK, 2),
    ],
)
def test_a_refusal_goes_to_whoever_waits(cmd: int, answer: int, to: int) -> None:
    message = cmd in (_core.CMD_SEND_MSG, _core.CMD_SNDREC_MSG, _core.CMD_REPLY_MSG)
    fields = {
        "cmd": cmd,
        "vmid": 7,
        "src": 100,
        "dst": 200,
        "snode": 0,
        "dnode": 1,
        "rnode": 0 if message else 2,
        "call": 9,
    }
    record = encode_command({**fields, "v_rqtr": 300, "payload": bytes(64) if message else b""})
    refusal = refuse_command(record, CODES["BADVMID"])
    assert refusal is not None
    node, back = refusal
    said = decode_command(back)
    assert (node, said["cmd"], said["call"], said["rcode"], said["src"]) == (to, answer, 9, CODES["BADVMID"], 200)
    assert said["dst"] == (100 if message else 300)


def test_what_nobody_waits_for_is_not_refused() -> None:
    for cmd in (_core.CMD_NTFY_MSG, _core.CMD_SEND_ACK, _core.CMD_CANCEL, _core.CMD_HELLO):
        assert refuse_command(encode_command({"cmd": cmd}), CODES["BADVMID"]) is None
    answer = encode_command({"cmd": _core.CMD_REPLY_MSG, "flags": _core.CMD_NOACK, "payload": bytes(64)})
    assert refuse_command(answer, CODES["BADVMID"]) is None


def test_a_refusal_ends_the_callers_wait(nodes: Nodes) -> None:
    nodes[0].step(client_of(nodes), _core.SENDREC, server_of(nodes))
    [(_, record)] = nodes[0].proxy.take()
    refusal = refuse_command(record, CODES["BADVMID"])
    assert refusal is not None
    assert nodes[0].proxy.put(refusal[1], 1) == []
    assert nodes[0].finish(client_of(nodes), _core.SENDREC)[0] == CODES["BADVMID"]


# ---- by hand --------------------------------------------------------------------------------------


def test_headers_without_an_envelope_work(nodes: Nodes) -> None:
    """As the guide's own proxies would write them: no call numbers, no incarnations."""
    node, client, server = nodes[1], client_of(nodes), server_of(nodes)
    assert node.proxy.put(ask(nodes, call=0)) == []
    assert node.receive(server)[1].is_request
    assert node.step(server, _core.REPLY, client, b"answer") == BLOCKED
    [(_, answer)] = node.take()
    assert (answer["cmd"], answer["answers"]) == (_core.CMD_REPLY_MSG, 0)
    back = {"cmd": _core.CMD_REPLY_ACK, "vmid": 7, "src": client, "dst": server, "snode": 0, "dnode": 1}
    assert node.proxy.put(encode_command(back)) == []
    assert node.finish(server, _core.REPLY)[0] == OK
    nodes[0].step(client, _core.SENDREC, server)
    nodes[0].proxy.take()
    by_send = {
        "cmd": _core.CMD_SEND_MSG,
        "vmid": 7,
        "src": server,
        "dst": client,
        "snode": 1,
        "dnode": 0,
        "payload": bytes(64),
    }
    assert nodes[0].proxy.put(encode_command(by_send)) == []
    assert nodes[0].finish(client, _core.SENDREC)[0] == OK


@pytest.mark.parametrize("field", ["call", "src", "snode"])
def test_an_acknowledgement_of_something_else_is_dropped(nodes: Nodes, field: str) -> None:
    client, server = client_of(nodes), server_of(nodes)
    assert nodes[0].bind_remote(nodes[1].bind(USER + 30), 1) == OK
    nodes[0].step(client, _core.SEND, server)
    [(_, sent)] = nodes[0].take()
    ack = {
        "cmd": _core.CMD_SEND_ACK,
        "vmid": 7,
        "src": server,
        "dst": client,
        "snode": 1,
        "dnode": 0,
        "call": sent["call"],
    }
    wrong = {
        **ack,
        field: {"call": sent["call"] + 1, "src": int(nodes[1].region.encode(USER + 30, 1)), "snode": 2}[field],
    }
    assert nodes[0].proxy.put(encode_command(wrong)) == []
    assert nodes[0].blocked(client)
    assert nodes[0].proxy.put(encode_command(ack)) == []
    assert nodes[0].finish(client, _core.SEND)[0] == OK


# ---- proxies that die --------------------------------------------------------------------------------------


def test_proxies_that_died_are_buried(nodes: Nodes) -> None:
    node = nodes[0]
    assert node.proxy.arm()
    assert node.region.bury_proxies(0) == OK
    doorbell = os.eventfd(0, os.EFD_NONBLOCK)
    node.region.doorbell = doorbell
    node.step(client_of(nodes), _core.SEND, server_of(nodes))
    assert not rung(doorbell)
    assert node.region.bury_proxies(32) == CODES["BADNODEID"]
    os.close(doorbell)


def test_a_fallback_can_be_set() -> None:
    proxy = Proxy(0, 0)
    assert proxy.fallback is None
    proxy.fallback = lambda *copy: CODES["PERM"]
    assert proxy.fallback is not None
    proxy.fallback = None


def test_a_proxy_keeps_its_regions() -> None:
    proxy = Proxy(0, 0)
    proxy.add(make_region(vmid=3))
    proxy.add(make_region(vmid=3))
    assert proxy.vmids == [3]
    assert proxy.take() == []
    assert (proxy.px, proxy.node) == (0, 0)
    assert isinstance(Region, type)
