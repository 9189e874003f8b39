"""NATS: what is special about it."""

import socket
from collections.abc import Iterator

import pytest

from drvs.cluster.transports.nats_connection import Inbox, NatsConnection
from support import brokers
from support.brokers import Broker
from support.links import record
from support.ways import Cluster, nats

pytestmark = pytest.mark.skipif(bool(brokers.why_not()), reason=brokers.why_not())


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A server of this test's own, which may be stopped."""
    path = brokers.program()
    assert path is not None
    made = Broker(path)
    yield made
    made.stop()


def test_sessions_go_on_when_the_server_was_gone(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "broker", lambda: broker)
    cluster = Cluster(nats())
    one, two = cluster.pair()
    broker.stop()
    for n in range(50):
        one.links.send_records(2, record(b"%d" % n), 1)
        two.links.send_records(1, record(b"%d" % n), 1)
        cluster.net.step(0.01)
    broker.start()
    cluster.net.run_until(lambda: len(one.got(2)) == len(two.got(1)) == 50, 40)
    assert one.got(2) == two.got(1) == [b"%d" % n for n in range(50)]
    assert not one.ended(2) + two.ended(1)
    cluster.net.close()


def test_a_server_that_is_not_there_is_an_error_that_names_it() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # nobody listens
        url = f"nats://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot reach NATS at {url}"):
            NatsConnection([url], "node1", connect_timeout=1, max_reconnect_attempts=0)


def test_one_connection_serves_links_and_registry() -> None:
    connection = NatsConnection([brokers.broker().url], "node1")

    async def write_and_read() -> bytes:
        stream = connection.client.jetstream()
        bucket = await stream.create_key_value(bucket="trial")
        await bucket.put("key", b"value")
        return (await bucket.get("key")).value or b""

    assert connection.call(write_and_read()).result(10) == b"value"
    connection.close()


def test_a_flood_of_messages_is_bounded() -> None:
    inbox = Inbox()
    for _ in range(5000):
        inbox.put(b"x", "drvs.lab.node.1")
    assert len(inbox) == 1024
    assert inbox.dropped == 5000 - 1024
    inbox.close()
