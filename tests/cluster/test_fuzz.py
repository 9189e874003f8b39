"""Bytes from the network are hostile: whatever they are, they are refused with a reason or taken for what they are.

Each case is made from a number, and a failure names case and number: call it with that to see it again. The quick
tier runs some ten thousand, the slow one more than a million.
"""

import random
from collections.abc import Callable

import pytest

from drvs.cluster.session import Exchange, StreamConnection
from drvs.cluster.session.postbox import Postbox
from drvs.cluster.transports.address import parse
from drvs.cluster.wire import commands, datagrams, frames, hello
from support.links import QUICK, identity, record
from support.network import TIGHT, Streams

#: Numbers at which formats tend to break.
EDGES = [0, 1, 3, 4, 31, 32, 33, 95, 96, 97, 0x7F, 0x80, 0xFF, 0xFFFF, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]


def spoil(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes, cut, repeat, or put an edge number somewhere."""
    found = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(found) + 1)
        match rng.randrange(5):
            case 0:
                found[place : place + 1] = rng.randbytes(1)
            case 1:
                del found[place:]
            case 2:
                found[place:place] = found[: rng.randrange(40)]
            case 3:
                found[place : place + 4] = rng.choice(EDGES).to_bytes(4, "little")
            case _:
                found += rng.randbytes(rng.randrange(100))
    return bytes(found)


def some_record(rng: random.Random) -> commands.CommandRecord:
    """Return a record that can be encoded."""
    cmd = rng.choice(list(commands.Command))
    size = 64 if cmd in commands.WITH_MESSAGE else rng.randrange(1, 300) if cmd in commands.WITH_DATA else 0

    def signed() -> int:
        return rng.randrange(-(2**31), 2**31)

    def unsigned(bits: int) -> int:
        return rng.randrange(1 << bits)

    return commands.CommandRecord(
        cmd=cmd, flags=unsigned(3), vmid=unsigned(16), src=signed(), dst=signed(), snode=unsigned(16),
        dnode=unsigned(16), rnode=unsigned(16), rcode=signed(), call=unsigned(32), answers=unsigned(32),
        incarnation=unsigned(32), timestamp=-unsigned(63),
        v_src=signed(), v_dst=signed(), v_rqtr=signed(),
        v_bytes=size if cmd in commands.WITH_DATA else unsigned(32), v_saddr=unsigned(64), v_daddr=unsigned(64),
        trace=rng.randbytes(16), payload=rng.randbytes(size),
    )  # fmt: skip


def some_hello(rng: random.Random) -> bytes:
    """Return the body of a good HELLO."""
    mine = identity(rng.randrange(1, 30))
    return hello.encode_message(
        hello.Hello(
            versions=(1, rng.randrange(1, 4)), cluster="lab", node=mine.node, name=mine.name, incarnation=1,
            limits=mine.limits, nonce=rng.randbytes(32),
        )
    )  # fmt: skip


def records_case(number: int) -> None:
    """A command record: what is encoded comes back; anything else is refused, or is a record that encodes again."""
    rng = random.Random(number)
    good = commands.encode_record(some_record(rng))
    assert commands.encode_record(commands.decode_record(good)) == good
    try:
        data = spoil(rng, good)
        assert commands.encode_record(commands.decode_record(data)) == data
    except frames.FrameError:
        pass


def frames_case(number: int) -> None:
    """A frame, a blob, a HELLO, a datagram, an address."""
    rng = random.Random(number)
    frame = frames.encode_frame(rng.choice(list(frames.Kind)), rng.randbytes(rng.randrange(60)), number=number)
    for decode, good in (
        (frames.decode_frame, frame),
        (frames.count_records, record(b"one") + record(b"two")),
        (lambda data: hello.decode_message(hello.Hello, data), some_hello(rng)),
        (lambda data: hello.decode_message(hello.Resume, data), b"\x83\xa7session\x05\xa5known\x00\xa4next\x00"),
        (datagrams.decode_header, datagrams.encode_header(2, 1, 2) + b"body"),
    ):
        decode(good)  # type: ignore[operator]
        try:
            decode(spoil(rng, good))  # type: ignore[operator]
        except frames.FrameError:
            pass
    try:
        parse(spoil(rng, b"tcp://10.0.0.1:7411").decode("latin-1"))
    except ValueError:
        pass


def stranger_case(number: int) -> None:
    """A listener that somebody speaks to who proves nothing: it keeps little, and ends with a reason."""
    rng = random.Random(number)
    exchange = Exchange(identity(2), None, QUICK)
    connection = StreamConnection(exchange, 0.0, dialled=rng.random() < 0.3)
    said = b"".join(
        frames.encode_frame(
            rng.choice([1, 1, 2, 3, 4, 5, 6, 7, 8]), rng.choice([some_hello(rng), b"", rng.randbytes(40)])
        )
        for _ in range(rng.randrange(1, 5))
    )
    data = spoil(rng, said)
    while data:
        size = rng.randrange(1, 200)
        connection.receive(data[:size], 0.0)
        data = data[size:]
        assert len(connection.partial) <= QUICK.hello_bytes
    connection.tick(QUICK.hello_s + 1)
    assert connection.over or connection.peer


def peer_case(number: int) -> None:
    """A peer that was let in and then spoils what it says: the connection may end, and nothing else happens."""
    rng = random.Random(number)
    world = Streams(settings=TIGHT)
    world.dial(1)
    world.deliver_all()
    wire = world.wires[0]
    for _ in range(4):
        world.send(1, [rng.randrange(200)])
        world.transmit()
        wire.queues[2][:] = spoil(rng, bytes(wire.queues[2]))
        try:
            world.move(0, 2, 10_000)
        except AssertionError:
            break  # what was spoilt inside a record is delivered as it is: streams between machines are sealed by TLS
        if wire.ends[2].over:
            break
    session = world.sides[2].exchange.sessions.get(1)
    assert wire.ends[2].over or (session is not None and session.open)


def postbox_case(number: int) -> None:
    """Datagrams from anybody."""
    rng = random.Random(number)
    postbox = Postbox(Exchange(identity(2), None, QUICK), 1400, lambda connection, address: None, strangers=4)
    opening = datagrams.encode_header(1, 0, rng.randrange(1, 1 << 60)) + frames.encode_frame(1, some_hello(rng))
    for n in range(6):
        data = spoil(rng, opening) if rng.random() < 0.7 else opening
        connection, _ = postbox.receive(data, f"somebody {n}", 0.0)
        if connection is not None:
            connection.output(10_000, 0.0)
    assert len(postbox._strangers) <= 4


Case = Callable[[int], None]
CASES: list[tuple[Case, int, int]] = [
    (records_case, 3000, 600_000),
    (frames_case, 3000, 400_000),
    (stranger_case, 2500, 200_000),
    (peer_case, 300, 60_000),
    (postbox_case, 1500, 200_000),
]


def run(case: Case, count: int, start: int) -> None:
    """Run a case many times."""
    for number in range(start, start + count):
        try:
            case(number)
        except Exception as error:
            raise AssertionError(f"{case.__name__}({number}) shows it again") from error


@pytest.mark.parametrize(("case", "count"), [(case, quick) for case, quick, _ in CASES])
def test_hostile_bytes(case: Case, count: int) -> None:
    run(case, count, 0)


@pytest.mark.slow
@pytest.mark.deadline(1800)
@pytest.mark.parametrize(("case", "count"), [(case, slow) for case, _, slow in CASES])
def test_many_more_hostile_bytes(case: Case, count: int) -> None:
    run(case, count, 1_000_000)
