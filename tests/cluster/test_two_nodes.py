"""Programs that know nothing of nodes, on two of them: every call, and every way in which it can end."""

import os
import signal

import pytest

import drvs
from drvs.core import CODES
from support.two_nodes import Joined

SERVER = 5


def serve(me, ep, rounds=1):
    """Add one to what is asked, so many times."""
    message = ep.receive_request()
    for _ in range(rounds - 1):
        message.m1_i1 += 1
        ep.reply_receive(message, message)
    message.m1_i1, client = message.m1_i1 + 1, message.source
    ep.reply(client, message)
    return client


def ask(me, ep, server, rounds=1):
    """Ask so many times; the last answer."""
    message = drvs.Message(7, m1_i1=0)
    for _ in range(rounds):
        message = ep.sendrec(server, message, timeout=20)
    return message.m1_i1, message.type, message.source


def code_of(call, *args, **kwargs):
    """The code that a call ends with."""
    try:
        call(*args, **kwargs)
    except drvs.DrvsError as error:
        return error.code
    return drvs.Code.OK


# ---- every call ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [1, 200])
def test_a_request_and_its_answer(pair: Joined, rounds: int) -> None:
    server = pair.bound(1, SERVER, serve, rounds)
    pair.known(0, SERVER)
    client = pair.bound(0, None, ask, SERVER, rounds)
    assert client.result() == (rounds, 7, SERVER)
    assert server.result() == client.endpoint


def test_many_callers_of_both_nodes_at_once(pair: Joined) -> None:
    server = pair.bound(1, SERVER, serve, 8 * 50)
    pair.known(0, SERVER)
    clients = [pair.bound(number % 2, None, ask, SERVER, 50) for number in range(8)]
    assert [client.result()[2] for client in clients] == [SERVER] * 8
    server.result()
    for vm in pair.vms:
        assert vm.audit() == []


def test_a_send_waits_for_the_receiver(pair: Joined) -> None:
    def receive(me, ep):
        me.hear()
        return [ep.receive().m1_i1 for _ in range(3)]

    def send(me, ep):
        for number in range(3):
            ep.send(SERVER, drvs.Message(1, m1_i1=number))
            me.say(f"sent {number}")

    receiver = pair.bound(1, SERVER, receive)
    pair.known(0, SERVER)
    sender = pair.bound(0, None, send)
    state(pair, 0, sender, drvs.Rts.SENDING)
    receiver.tell("go")
    for number in range(3):
        sender.wait_line(f"sent {number}")
    assert receiver.result() == [0, 1, 2]


def state(pair: Joined, number: int, child, flags: drvs.Rts):
    """Wait until a process of a node has these flags; its state."""
    import time

    deadline = time.monotonic() + 20
    while True:
        found = next(p for p in pair.vms[number].processes() if p.endpoint == child.endpoint)
        if found.rts & flags == flags:
            return found.rts
        assert time.monotonic() < deadline, found


def test_a_notification(pair: Joined) -> None:
    def receive(me, ep):
        message = ep.receive(timeout=20)
        return message.source, message.type

    receiver = pair.bound(1, SERVER, receive)
    pair.known(0, SERVER)
    sender = pair.bound(0, 6, lambda me, ep: ep.notify(SERVER))
    assert sender.result() is None
    assert receiver.result() == (6, 0x1006)


@pytest.mark.parametrize("length", [1, 100_000, 524_288])
@pytest.mark.parametrize("way", ["read", "write"])
def test_a_server_copies_from_and_to_its_client(pair: Joined, way: str, length: int) -> None:
    def server(me, ep):
        request = ep.receive_request()
        content = bytes(range(256)) * 2048
        with ep.block(bytearray(content[:length])) as block:
            theirs = (request.source, request.m1_p1)
            ep.copy(block, theirs, length) if way == "read" else ep.copy(theirs, block, length)
            ep.reply(request.source, request)
            return bytes(block.view) == content[:length]

    def client(me, ep):
        content = bytes(range(256)) * 2048
        start = bytearray(length) if way == "read" else bytearray(content[:length])
        with ep.block(start) as block:
            ep.sendrec(SERVER, drvs.Message(1, m1_p1=block.address), timeout=20)
            return bytes(block.view) == content[:length]

    serving = pair.bound(1, SERVER, server)
    pair.known(0, SERVER)
    assert pair.bound(0, None, client).result() is True
    assert serving.result() is True


# ---- how it can end --------------------------------------------------------------------------------------------------


def waiting_caller(pair: Joined, call="sendrec"):
    """A client of node 0 that waits for a server of node 1 that took its request and sits on it; both."""

    def sit(me, ep):
        ep.receive()
        me.say("taken")
        me.hear()
        return code_of(ep.reply, client_of(me), drvs.Message(1))

    def client_of(me):
        return int(me.hear())

    def wait(me, ep):
        return code_of(getattr(ep, call), SERVER, drvs.Message(1))

    server = pair.bound(1, SERVER, sit)
    pair.known(0, SERVER)
    client = pair.bound(0, None, wait)
    server.wait_line("taken")
    return client, server


def test_a_server_that_dies_ends_the_calls_of_its_clients(pair: Joined) -> None:
    client, server = waiting_caller(pair)
    server.kill()
    assert client.result() in (drvs.Code.SRCDIED, drvs.Code.DSTDIED)


def test_a_server_that_dies_before_it_takes_a_request(pair: Joined) -> None:
    server = pair.bound(1, SERVER, lambda me, ep: me.hear())
    pair.known(0, SERVER)
    client = pair.bound(0, None, lambda me, ep: code_of(ep.sendrec, SERVER, drvs.Message(1)))
    state(pair, 0, client, drvs.Rts.RECEIVING)
    server.kill()
    assert client.result() == drvs.Code.DSTDIED


def test_a_client_that_dies_leaves_nothing_in_its_servers_queue(pair: Joined) -> None:
    def late(me, ep):
        me.hear()
        return code_of(ep.receive_request, timeout=0)

    server = pair.bound(1, SERVER, late)
    pair.known(0, SERVER)
    client = pair.bound(0, None, ask, SERVER)
    state(pair, 0, client, drvs.Rts.RECEIVING)
    client.kill()
    other = pair.bound(0, None, lambda me, ep: code_of(ep.send, SERVER, drvs.Message(2), timeout=0.2))
    assert other.result() == drvs.Code.TIMEDOUT  # behind it on the same link
    server.tell("look")
    assert server.result() == drvs.Code.AGAIN


def test_a_caller_whose_time_is_over_and_a_server_that_answers_late(pair: Joined) -> None:
    def late(me, ep):
        request = ep.receive_request()
        me.hear()
        return code_of(ep.reply, request.source, request)

    server = pair.bound(1, SERVER, late)
    pair.known(0, SERVER)
    client = pair.bound(0, None, lambda me, ep: code_of(ep.sendrec, SERVER, drvs.Message(1), timeout=0.3))
    assert client.result() == drvs.Code.TIMEDOUT
    server.tell("answer")
    assert server.result() in (drvs.Code.PROCSTS, drvs.Code.DSTDIED)


ENDS = {
    "proxy killed": (lambda pair: pair.proxies[0].kill(), drvs.Code.NOPROXY),
    "pair unbound": (lambda pair: pair.nodes[0].proxy_pair(0).unbind(), drvs.Code.NOPROXY),
    "disconnected": (lambda pair: pair.nodes[0].proxy_pair(0).disconnect(receiver=False), drvs.Code.NOTCONN),
    "node down": (lambda pair: pair.nodes[0].node_down(1), drvs.Code.NOPROXY),
    "node taken out": (lambda pair: pair.vms[0].remove_node(1), drvs.Code.NOVMNODE),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("call", ["sendrec", "receive"])
def test_what_waits_for_the_other_node_ends_when_the_road_does(pair: Joined, end: str, call: str) -> None:
    happen, code = ENDS[end]
    if call == "sendrec":
        client, _ = waiting_caller(pair)
    else:
        pair.bound(1, SERVER, lambda me, ep: me.hear())
        pair.known(0, SERVER)
        client = pair.bound(0, None, lambda me, ep: code_of(ep.receive, SERVER))
        state(pair, 0, client, drvs.Rts.RECEIVING)
    happen(pair)
    assert client.result() == code
    assert pair.vms[0].audit() == []


def test_a_proxy_that_is_killed_and_started_again_joins_the_nodes_again(pair: Joined) -> None:
    import socket

    from support.children import spawn
    from support.two_nodes import carry

    for proxy in pair.proxies:
        proxy.kill()
    ends = socket.socketpair()
    for number, running in enumerate(pair.running):
        wait_for_no_pair(pair.nodes[number])
        spawn(carry, os.fspath(running.runtime_dir), 1 - number, ends[number], ends[1 - number]).wait_line("up")
    for end in ends:
        end.close()
    server = pair.bound(1, SERVER, serve)
    pair.known(0, SERVER)
    assert pair.bound(0, None, ask, SERVER).result()[0] == 1
    server.result()


def wait_for_no_pair(node: drvs.Node) -> None:
    """Until a node has noticed that its proxies died."""
    import time

    deadline = time.monotonic() + 20
    while node.proxies():
        assert time.monotonic() < deadline


def test_calls_go_on_while_noded_is_dead_and_after_it_is_back(pair: Joined) -> None:
    server = pair.bound(1, SERVER, serve, 400)
    pair.known(0, SERVER)
    client = pair.bound(0, None, ask, SERVER, 200)
    pair.running[0].kill()
    assert client.result()[0] == 200
    pair.running[0].restart()
    assert pair.bound(0, None, ask, SERVER, 200).result()[0] == 200
    server.result()


def test_a_signal_interrupts_nothing_in_python(pair: Joined) -> None:
    def interrupted(me, ep):
        signal.signal(signal.SIGUSR1, lambda *_: me.say("signal"))
        return ask(me, ep, SERVER)

    def hold(me, ep):
        request = ep.receive_request()
        me.say("taken")
        me.hear()
        ep.reply(request.source, request)

    server = pair.bound(1, SERVER, hold)
    pair.known(0, SERVER)
    client = pair.bound(0, None, interrupted)
    server.wait_line("taken")
    client.send_signal(signal.SIGUSR1)
    client.wait_line("signal")
    server.tell("answer")
    assert client.result()[0] == 0


# ---- names -----------------------------------------------------------------------------------------------------------


def test_a_name_of_the_other_node_is_found_once_it_was_told(pair: Joined) -> None:
    server = pair.bound(1, None, serve, name="adder")

    def find(me, ep):
        return ask(me, ep, ep.vm.lookup("adder", timeout=20))[0]

    client = pair.bound(0, None, find)
    pair.nodes[0].client.call("names_set", node=1, vmid=0, name="adder", endpoint=server.endpoint)
    assert client.result() == 1
    assert server.result() == client.endpoint


def test_a_name_that_is_dropped_ends_the_waits_on_its_owner(pair: Joined) -> None:
    server = pair.bound(1, None, lambda me, ep: me.hear(), name="mute")
    pair.nodes[0].client.call("names_set", node=1, vmid=0, name="mute", endpoint=server.endpoint)
    found = pair.vms[0].lookup("mute")
    client = pair.bound(0, None, lambda me, ep: code_of(ep.receive, found))
    state(pair, 0, client, drvs.Rts.RECEIVING)
    pair.nodes[0].client.call("names_drop", node=1, vmid=0, endpoint=server.endpoint)
    assert client.result() == CODES["SRCDIED"]


def test_late_news_of_a_system_process_leaves_its_next_life_alone(pair: Joined) -> None:
    server = pair.bound(1, SERVER, serve, name="adder")
    pair.known(0, SERVER)
    assert pair.bound(0, None, ask, SERVER).result()[0] == 1
    assert server.result()
    waiting = pair.bound(1, SERVER, lambda me, ep: (ask(me, ep, int(me.hear())), me.hear()), name="adder")
    helper = pair.bound(0, SERVER + 1, serve)
    pair.known(1, helper.endpoint)
    waiting.tell(helper.endpoint)
    helper.result()  # node 0 has heard of its second life
    told = pair.nodes[1].client.call("events", after=0, epoch="", timeout_ms=0)["events"]
    second = next(event["incarnation"] for event in told if event["kind"] == "bound")
    here = pair.nodes[0].client
    client = pair.bound(0, None, lambda me, ep: code_of(ep.receive, SERVER))
    state(pair, 0, client, drvs.Rts.RECEIVING)
    here.call("names_drop", node=1, vmid=0, endpoint=SERVER, incarnation=second - 1)
    assert here.call("getprocinfo", vmid=0, p_nr=SERVER)["kind"] == "remote"
    here.call("names_drop", node=1, vmid=0, endpoint=SERVER, incarnation=second)
    assert client.result() == CODES["SRCDIED"]


def test_a_name_whose_owner_is_known_to_have_died_is_nobodys(pair: Joined) -> None:
    def take(me, ep):
        ep.receive_request()
        me.say("taken")
        me.hear()

    def wait(me, ep):
        code = code_of(ep.sendrec, ep.vm.lookup("mortal", timeout=20), drvs.Message(1))
        return code, code_of(ep.vm.lookup, "mortal")

    server = pair.bound(1, SERVER, take, name="mortal")
    pair.nodes[0].client.call("names_set", node=1, vmid=0, name="mortal", endpoint=SERVER)
    client = pair.bound(0, None, wait)
    server.wait_line("taken")
    server.kill()
    code, looked_up = client.result()
    assert code in (drvs.Code.SRCDIED, drvs.Code.DSTDIED)
    assert looked_up == drvs.Code.NOTBIND
    pair.bound(1, SERVER, serve, name="mortal")
    pair.nodes[0].client.call("names_set", node=1, vmid=0, name="mortal", endpoint=SERVER)
    assert pair.vms[0].lookup("mortal") == SERVER


@pytest.mark.parametrize("met", ["before it was told", "after it was told"])
def test_a_name_that_nobody_looked_up_before_its_owner_died_is_nobodys_too(pair: Joined, met: str) -> None:
    def told() -> None:
        pair.nodes[0].client.call("names_set", node=1, vmid=0, name="mortal", endpoint=SERVER)

    server = pair.bound(1, SERVER, lambda me, ep: me.hear(), name="mortal")
    for step in (told, lambda: pair.known(0, SERVER))[:: -1 if met == "before it was told" else 1]:
        step()
    caller = pair.bound(0, None, lambda me, ep: code_of(ep.sendrec, SERVER, drvs.Message(1)))
    state(pair, 0, caller, drvs.Rts.RECEIVING)
    server.kill()
    assert caller.result() in (drvs.Code.SRCDIED, drvs.Code.DSTDIED)
    assert code_of(pair.vms[0].lookup, "mortal") == drvs.Code.NOTBIND
    pair.bound(1, SERVER, serve, name="mortal")
    told()
    assert pair.vms[0].lookup("mortal") == SERVER


def test_nodes_give_slots_of_their_own(pair: Joined) -> None:
    ends = [[pair.bound(number, None, lambda me, ep: me.hear()).endpoint for _ in range(4)] for number in (0, 1)]
    assert not set(ends[0]) & set(ends[1])
