"""What sessions cost: CPU time of a pair of them for each record, without sockets. Prints JSON.

python bench/session_cost.py
"""

import json
import time
from collections.abc import Callable

from drvs.cluster.session import Exchange, Identity, StreamConnection
from drvs.cluster.session.datagram import DatagramConnection
from drvs.cluster.session.postbox import Postbox

RECORD = (160).to_bytes(4, "little") + bytes(156)
BATCH = 64


def exchange(node: int) -> Exchange:
    """Return a node without certificates."""
    return Exchange(Identity(node=node, name=f"node{node}", cluster="bench", incarnation=node + 1))


def meet(one: StreamConnection, two: StreamConnection) -> None:
    """Let two ends of a stream shake hands."""
    for _ in range(4):
        for source, to in ((one, two), (two, one)):
            to.receive(b"".join(source.output(1 << 20, 0.0)), 0.0)


def pair() -> tuple[StreamConnection, StreamConnection]:
    """Return two ends of a stream, ready."""
    one = StreamConnection(exchange(1), 0.0, dialled=True, expect=2)
    two = StreamConnection(exchange(2), 0.0, dialled=False)
    meet(one, two)
    return one, two


def best(work: Callable[[], None], rounds: int, repeats: int = 7) -> float:
    """Return the CPU seconds of one `work`, of the quickest of several repeats."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(rounds):
            work()
        found.append((time.process_time() - start) / rounds)
    return min(found)


def there_and_back() -> float:
    """One small record each way."""
    one, two = pair()
    assert one.session
    assert two.session
    first, second = one.session, two.session

    def work() -> None:
        first.send_records(RECORD, 1)
        two.receive(b"".join(one.output(1 << 18, 1.0)), 1.0)
        second.send_records(RECORD, 1)
        one.receive(b"".join(two.output(1 << 18, 1.0)), 1.0)

    return best(work, 20_000)


def batched() -> float:
    """A record in a blob of 64, one way."""
    one, two = pair()
    assert one.session
    session, blob = one.session, RECORD * BATCH

    def work() -> None:
        session.send_records(blob, BATCH)
        two.receive(b"".join(one.output(1 << 18, 1.0)), 1.0)
        if two.wants_output:
            one.receive(b"".join(two.output(1 << 18, 1.0)), 1.0)

    return best(work, 5_000) / BATCH


def gathered() -> float:
    """A record that was given alone and leaves with 63 others."""
    one, two = pair()
    assert one.session
    session = one.session

    def work() -> None:
        for _ in range(BATCH):
            session.send_records(RECORD, 1)
        two.receive(b"".join(one.output(1 << 18, 1.0)), 1.0)
        if two.wants_output:
            one.receive(b"".join(two.output(1 << 18, 1.0)), 1.0)

    return best(work, 1_000) / BATCH


def datagram() -> float:
    """A small record in a datagram of its own, there and back, not sealed."""
    boxes = {
        1: Postbox(exchange(1), 1400, lambda c, a: None),
        2: Postbox(exchange(2), 1400, lambda c, a: ends.append(c)),
    }
    ends: list[DatagramConnection] = [boxes[1].dial(2, 0.0)]
    for _ in range(6):
        for number, end in enumerate(list(ends)):
            for data in end.output(1 << 20, 0.0):
                boxes[2 - number].receive(data, "the other", 0.0)
    one, two = ends
    assert one.session
    assert two.session
    first, second = one.session, two.session

    def work() -> None:
        first.send_records(RECORD, 1)
        for data in one.output(1 << 18, 1.0):
            boxes[2].receive(data, "the other", 1.0)
        second.send_records(RECORD, 1)
        for data in two.output(1 << 18, 1.0):
            boxes[1].receive(data, "the other", 1.0)

    return best(work, 10_000)


print(
    json.dumps(
        {
            "one small record each way, us": round(there_and_back() * 1e6, 2),
            "a record in a blob of 64, ns": round(batched() * 1e9, 1),
            "a record gathered with 63 others, ns": round(gathered() * 1e9, 1),
            "one small record each way in datagrams, us": round(datagram() * 1e6, 2),
        },
        indent=4,
    )
)
