"""Peers and strangers that do harm: they are bounded, they are told apart, and nobody else notices."""

import socket
import time
from collections.abc import Callable

import pytest

from drvs.base import limits
from drvs.cluster.session import Broken, Established, Event, Exchange, Records, StreamConnection
from drvs.cluster.session.postbox import Postbox
from drvs.cluster.session.session import NEVER
from drvs.cluster.wire import frames
from drvs.cluster.wire.frames import Kind, encode_frame
from support.certificates import credentials
from support.links import QUICK, TestNode, identity, record
from support.network import TIGHT, Datagrams, Letter, Streams
from support.ways import Cluster, tcp_signed, udp_sealed


@pytest.fixture
def way() -> object:
    """A way with certificates and without encryption, so that tests can speak for themselves."""
    return tcp_signed()


def dial_by_hand(node: TestNode) -> socket.socket:
    """Return a socket to a node's listener."""
    return socket.create_connection((node.address.host, node.address.port))


def closed(cluster: Cluster, sock: socket.socket) -> bytes:
    """Return what a node said until it closed the connection."""
    sock.setblocking(False)
    said = bytearray()

    def over() -> bool:
        try:
            while data := sock.recv(65536):
                said.extend(data)
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        return True

    cluster.net.run_until(over)
    return bytes(said)


# ---- strangers on a stream ----


def test_a_stranger_that_says_nothing_is_sent_away(cluster: Cluster) -> None:
    node = cluster.node(1)
    with dial_by_hand(node) as sock:
        assert b"did not prove who it is in time" in closed(cluster, sock)
    assert "did not prove who it is in time" in node.reasons()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: node1\r\nAccept: everything there is\r\n\r\n", "a frame of"),
        (b"\x16\x03\x01\x02\x00\x01\x00" + bytes(600), "the peer speaks TLS, and this end does not"),
        (encode_frame(Kind.HELLO, bytes(5000)), "a frame of 5032 bytes; the limit is 4096"),
        (encode_frame(Kind.RECORDS, record(b"x"), count=1), "before the peer has proved who it is"),
        (encode_frame(Kind.AUTH, bytes(64)), "before the peer has proved who it is"),
        (encode_frame(Kind.HELLO, b"\x80"), "malformed HELLO"),
        (encode_frame(Kind.HELLO, b"", version=9), "a frame of version 9"),
    ],
)
def test_a_stranger_that_talks_nonsense_is_told_so(cluster: Cluster, said: bytes, reason: str) -> None:
    node = cluster.node(1)
    with dial_by_hand(node) as sock:
        sock.sendall(said)
        answer = closed(cluster, sock)
    assert reason in node.reasons()
    assert reason.encode() in answer


def test_little_is_kept_of_a_stranger_that_talks_without_end(cluster: Cluster) -> None:
    node = cluster.node(1)
    with dial_by_hand(node) as sock:
        sock.sendall(encode_frame(Kind.HELLO, bytes(4000))[:-1])  # a frame that never ends
        cluster.net.run_for(0.1)
        assert all(len(carrier.connection.partial) <= QUICK.hello_bytes for carrier in node.links._carriers)


def test_a_flood_of_strangers_does_not_keep_a_peer_out(cluster: Cluster) -> None:
    one, two = cluster.node(1), cluster.node(2)
    flood = []
    for _ in range(limits.LINK_STRANGERS + 50):
        flood.append(dial_by_hand(two))
        flood[-1].sendall(encode_frame(Kind.HELLO, bytes(3000))[:100])
        cluster.net.step(0)
    one.links.add_peer(2, [two.address])
    cluster.net.run_until(lambda: one.connected(2) and two.connected(1))
    assert len(two.links._carriers) <= limits.LINK_STRANGERS + 1
    assert "too many strangers" in two.reasons()
    for sock in flood:
        sock.close()


def test_a_recorded_greeting_is_worth_nothing() -> None:
    """The dialler's HELLO and AUTH, said again word for word to the same listener."""
    listener = Exchange(identity(2), credentials(2), QUICK)
    dialler = StreamConnection(Exchange(identity(1), credentials(1), QUICK), 0.0, dialled=True)
    first, again = (StreamConnection(listener, 0.0, dialled=False) for _ in range(2))
    recorded, events = [], []
    for _ in range(3):
        recorded.append(b"".join(dialler.output(1 << 20, 0.0)))
        events += first.receive(recorded[-1], 0.0)
        dialler.receive(b"".join(first.output(1 << 20, 0.0)), 0.0)
    assert any(isinstance(event, Established) for event in events)
    replayed: list[Event] = []
    for said in recorded:
        again.output(1 << 20, 0.0)
        replayed += again.receive(said, 0.0)
    assert not replayed
    assert again.over == "node 1 does not hold the key of its certificate"
    assert first.open


# ---- peers that were let in ----


def test_a_peer_that_reads_nothing_leaves_nothing_to_do_at_once() -> None:
    world = Streams()
    world.dial(1)
    world.deliver_all()
    connection = world.wires[0].ends[1]
    began, alive = world.now, connection.deadline
    world.now = alive
    connection.tick(world.now)  # time to say something, and nobody takes it
    assert connection.wants_output
    assert world.now < connection.deadline <= began + TIGHT.silence_s


def tampered(change: Callable[[bytearray], None]) -> tuple[Streams, str, list[Event]]:
    """Let node 1 send a record whose frame is changed on the way; return why node 2 hung up, and its events."""
    world = Streams()
    world.dial(1)
    world.deliver_all()
    wire = world.wires[0]
    world.send(1, [100])
    world.transmit()
    change(wire.queues[2])
    events = wire.ends[2].receive(bytes(wire.queues[2]), world.now)
    return world, wire.ends[2].over, events


def set_field(place: int, size: int, value: int) -> Callable[[bytearray], None]:
    """Return a change of one field of the frame's header."""

    def change(frame: bytearray) -> None:
        frame[place : place + size] = value.to_bytes(size, "little")

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_field(0, 4, 1 << 30), "a frame of 1073741824 bytes; the limit is 8192"),
        (set_field(0, 4, 31), "a frame of 31 bytes"),
        (set_field(4, 1, 2), "a frame of version 2; this is a connection of version 1"),
        (set_field(5, 1, 77), "a frame of kind 77, which has no place here"),
        (set_field(5, 1, 1), "a frame of kind 1, which has no place here"),
        (set_field(8, 4, 0), "0 records"),
        (set_field(8, 4, 1000), "1000 records in 104 bytes"),
        (set_field(12, 4, 1), "a frame of version 1"),
        (set_field(16, 8, 1), "from number 1; 0 comes next"),
        (set_field(24, 8, 1), "an acknowledgement up to 1"),
    ],
)
def test_a_peer_that_breaks_the_rules_loses_its_connection(change: Callable[[bytearray], None], reason: str) -> None:
    world, why, events = tampered(change)
    assert reason in why
    assert not [event for event in events if isinstance(event, Records)]
    assert [type(event) for event in events] == [Broken]
    world.happened(world.sides[2], events)
    world.settle()  # and what it sent still arrives, once, over the next one


def test_another_peer_does_not_notice(cluster: Cluster) -> None:
    one, two, three = cluster.node(1), cluster.node(2), cluster.node(3)
    cluster.introduce(one, two, three)
    cluster.net.run_until(lambda: all(two.connected(n) for n in (1, 3)))
    session = one.exchange.sessions[2]
    session.next_out += 5  # node 1 skips numbers
    one.links.send_records(2, record(b"late"), 1)
    three.links.send_records(2, record(b"fine"), 1)
    cluster.net.run_until(lambda: two.got(3) == [b"fine"] and two.said(Broken, 1))
    assert "comes next" in two.reasons(1)
    assert not two.said(Broken, 3)


# ---- datagrams ----


def talk(world: Datagrams) -> list[Letter]:
    """Let the two nodes meet and exchange something; return all datagrams of it."""
    seen = []
    world.dial(1)
    for n in range(200):
        if not world.letters:
            if n > 20:
                break
            world.send(1, [50])
            world.send(2, [50])
            world.pass_time(0.05)
            continue
        seen.append(world.letters[0])
        world.deliver(0)
    assert world.connected()
    return seen


def test_a_conversation_that_is_replayed_changes_nothing() -> None:
    world = Datagrams({1: credentials(1), 2: credentials(2)})
    seen = talk(world)
    before = {node: dict(side.exchange.sessions) for node, side in world.sides.items()}
    counts = {node: side.established for node, side in world.sides.items()}
    got = {key: list(value) for key, value in world.received.items()}
    for letter in [*seen, *reversed(seen)]:
        world.put(letter)
        world.letters.clear()
    assert {node: dict(side.exchange.sessions) for node, side in world.sides.items()} == before
    assert {node: side.established for node, side in world.sides.items()} == counts
    assert {key: list(value) for key, value in world.received.items()} == got
    assert world.connected()


def test_datagrams_that_are_forged_cut_or_too_long_change_nothing() -> None:
    world = Datagrams({1: credentials(1), 2: credentials(2)})
    seen = [letter for letter in talk(world) if letter.data[1] != 1]
    connection = next(c for c in world.sides[2].connections if c.open)
    for letter in seen[-10:]:
        for data in (
            letter.data[:-1],
            letter.data[:39],
            letter.data + b"x",
            letter.data[:-16] + bytes(16),
            bytes(1500),
        ):
            world.put(Letter(letter.to, data))
    assert world.connected()
    assert connection.open
    world.settle()


def test_a_flood_of_hellos_is_bounded_and_the_peers_stay() -> None:
    now = 0.0
    exchange = Exchange(identity(2), None, QUICK)
    accepted = []
    postbox = Postbox(exchange, 1400, lambda connection, address: accepted.append(connection), strangers=8)
    for n in range(100):
        stranger = Postbox(Exchange(identity(1), None, QUICK), 1400, lambda c, a: None).dial(2, now)
        (hello,) = stranger.output(1 << 20, now)
        postbox.receive(hello, f"somewhere {n}", now)
    assert len(accepted) == 100
    assert len(postbox._strangers) == 8
    assert len(postbox._connections) == 8
    assert [c.over for c in accepted[:92]] == ["too many strangers"] * 92
    assert all(c.deadline < NEVER for c in accepted[92:])


def test_a_second_hello_with_the_same_number_makes_no_second_connection() -> None:
    exchange = Exchange(identity(2), None, QUICK)
    postbox = Postbox(exchange, 1400, lambda connection, address: None)
    dialler = Postbox(Exchange(identity(1), None, QUICK), 1400, lambda c, a: None).dial(2, 0.0)
    (hello,) = dialler.output(1 << 20, 0.0)
    first, _ = postbox.receive(hello, "there", 0.0)
    second, _ = postbox.receive(hello, "there", 0.0)
    assert first is second
    assert first is not None
    assert len(set(first.output(1 << 20, 0.0))) == 1  # the same ANSWER, twice


def test_what_is_not_for_us_is_counted_and_dropped() -> None:
    postbox = Postbox(Exchange(identity(2), None, QUICK), 1400, lambda connection, address: None)
    for data in (b"", b"hello", bytes(40), b"\x01\x02" + bytes(6) + (99).to_bytes(8, "little") + bytes(24)):
        assert postbox.receive(data, "somebody", 0.0) == (None, [])
    assert postbox.stray == 4


def test_a_udp_port_takes_a_flood_while_its_peers_talk(nothing_left: None) -> None:
    cluster = Cluster(udp_sealed())
    one, two = cluster.pair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for n in range(300):
            sock.sendto(bytes([n % 256]) * (n * 7 % 1400), (two.address.host, two.address.port))
            if n % 10 == 0:
                one.links.send_records(2, record(b"%d" % n), 1)
                cluster.net.step(0)
    cluster.net.run_until(lambda: len(two.got(1)) == 30)
    assert not two.said(Broken)
    cluster.net.close()


def test_keys_are_not_used_for_two_datagrams() -> None:
    """What is sent again is the same bytes; each other datagram has a number of its own."""
    world = Datagrams({1: credentials(1), 2: credentials(2)})
    world.dial(1)
    world.deliver_all()
    sealed: dict[tuple[int, bytes], bytes] = {}
    for n in range(30):
        world.send(1, [300])
        world.pass_time(0.4)
        for letter in world.letters:
            key = (letter.to, letter.data[1:24])
            assert sealed.setdefault(key, letter.data) == letter.data
        if n % 3 == 0:
            world.letters.clear()  # lost: it will be sent again
        else:
            world.deliver_all()
    assert len(sealed) > 20


def test_the_reason_of_the_other_end_cannot_forge_a_log() -> None:
    exchange = Exchange(identity(2), None, QUICK)
    connection = StreamConnection(exchange, time.monotonic(), dialled=False)
    connection.receive(frames.encode_frame(Kind.BYE, b"all is well\nnode 7: refused \x1b[31m" + b"x" * 3000), 0.0)
    assert "\n" not in connection.over
    assert "\x1b" not in connection.over
    assert len(connection.over) < 450
