"""The registry in NATS: numbers are handed out once, who lives is known, and a lost store is made anew."""

import select
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar, cast
from weakref import WeakKeyDictionary

import pytest

from drvs.cluster.proxies.process import Proxies
from drvs.cluster.registry import Displaced, Event, Joined, Left, Presence, Registry, RegistryError, Settings
from drvs.cluster.transports.nats_connection import NatsConnection
from support import brokers
from support.ways import Cluster, tcp_insecure

if TYPE_CHECKING:
    from drvs.cluster.proxies.noded import Noded

LEASE_S = 0.6
Kind = TypeVar("Kind", bound=Event)


@pytest.fixture
def broker() -> Iterator[brokers.Broker]:
    mine = brokers.Broker(brokers.program())
    yield mine
    mine.stop()


@contextmanager
def member(broker: brokers.Broker, cluster: str) -> Iterator[Registry]:
    connection = NatsConnection([broker.url], "test")
    try:
        yield Registry(connection, cluster, LEASE_S)
    finally:
        connection.close()


@pytest.fixture
def cluster() -> str:
    return "c" + uuid.uuid4().hex[:12]


_seen: "WeakKeyDictionary[Registry, list[Event]]" = WeakKeyDictionary()


def wait_for(registry: Registry, kind: type[Kind], seconds: float = 20) -> Kind:
    """The next event of a kind; others before it are dropped."""
    poll = select.poll()
    poll.register(registry.fileno(), select.POLLIN)
    events = _seen.setdefault(registry, [])
    while True:
        while events:
            event = events.pop(0)
            if isinstance(event, kind):
                return event
        if not poll.poll(seconds * 1000):
            pytest.fail(f"no {kind.__name__} within {seconds} s")
        events += registry.take()


def presence(name: str, incarnation: int = 1) -> Presence:
    return Presence(name, incarnation, ("nats://",))


def test_numbers_are_handed_out_once_and_kept(broker: brokers.Broker, cluster: str) -> None:
    with member(broker, cluster) as one, member(broker, cluster) as other:
        assert [one.claim("a"), other.claim("b"), one.claim("c")] == [0, 1, 2]
        assert other.claim("a") == 0
        assert one.claim("d", 7) == 7


def test_a_number_of_another_node_is_refused_by_name(broker: brokers.Broker, cluster: str) -> None:
    with member(broker, cluster) as registry:
        registry.claim("a", 3)
        with pytest.raises(RegistryError, match="'a'"):
            registry.claim("b", 3)
        with pytest.raises(RegistryError, match="has the number 3"):
            registry.claim("a", 4)


def test_when_all_numbers_are_taken_the_next_node_is_told(broker: brokers.Broker, cluster: str) -> None:
    with member(broker, cluster) as registry:
        assert registry.settings(Settings(nodes=2)).nodes == 2
        assert registry.settings(Settings(nodes=9)).nodes == 2
        registry.claim("a")
        registry.claim("b")
        with pytest.raises(RegistryError, match="all 2 numbers"):
            registry.claim("c")


def test_nodes_see_each_other_come_and_go(broker: brokers.Broker, cluster: str) -> None:
    with member(broker, cluster) as one, member(broker, cluster) as other:
        one.join(0, presence("a"))
        other.join(1, presence("b"))
        assert wait_for(one, Joined) == Joined(1, presence("b"))
        assert wait_for(other, Joined) == Joined(0, presence("a"))
        other.leave()
        assert wait_for(one, Left) == Left(1, expired=False)
        one.leave()


def test_a_node_that_stops_renewing_is_gone_after_its_lease(broker: brokers.Broker, cluster: str) -> None:
    with member(broker, cluster) as one:
        one.join(0, presence("a"))
        with member(broker, cluster) as other:
            other.join(1, presence("b"))
            wait_for(one, Joined)
        assert wait_for(one, Left) == Left(1, expired=True)
        one.leave()


def test_a_newer_process_takes_a_node_over_and_the_older_one_learns_of_it(broker: brokers.Broker, cluster: str) -> None:
    with member(broker, cluster) as old, member(broker, cluster) as new:
        old.join(0, presence("a", 1))
        new.join(0, presence("a", 2))
        assert "2" in wait_for(old, Displaced).by
        new.leave()


@pytest.mark.parametrize("store", ["kept", "lost"])
def test_after_the_servers_return_nodes_are_there_again(broker: brokers.Broker, cluster: str, store: str) -> None:
    with member(broker, cluster) as one, member(broker, cluster) as other:
        one.join(0, presence("a"))
        other.join(1, presence("b"))
        wait_for(one, Joined)
        broker.stop()
        if store == "lost":
            shutil.rmtree(broker.folder)
        broker.start()
        with member(broker, cluster) as third:
            third.join(2, presence("c"))
            seen = {wait_for(third, Joined).node for _ in range(2)}
            assert seen == {0, 1}
            while wait_for(one, Joined).node != 2:
                pass  # the other one, whose lease had ended meanwhile
            third.leave()
        one.leave()
        other.leave()


def test_a_server_without_its_store_is_named(cluster: str) -> None:
    with pytest.raises(OSError, match="cannot reach NATS"):
        NatsConnection(["nats://127.0.0.1:1"], "test")


@pytest.mark.parametrize("session", ["none", "interrupted", "connected"])
def test_news_of_a_peer_does_not_disconnect_the_node_from_one_that_it_has_a_session_with(session: str) -> None:
    """It may have dialled first; or the registry was away, and its news come while the session waits to be resumed."""
    cluster = Cluster(tcp_insecure())
    one = cluster.node(1) if session == "none" else cluster.pair()[0]
    if session == "interrupted":
        one.links.interrupt(2, "for a moment")
    told: list[tuple[int, str]] = []
    proxies = object.__new__(Proxies)
    proxies._noded = cast("Noded", SimpleNamespace(node_up=lambda *args: told.append(args)))  # which disconnects it
    proxies._links = one.links
    news = Joined(2, Presence("b", 1, (str(one.address),)))
    proxies._look_up(cast("Registry", SimpleNamespace(take=lambda: [news])))
    assert told == ([(2, "b")] if session == "none" else [])
    cluster.net.close()


@pytest.mark.parametrize("address", ["tipc://4711:7411", "tcp://nowhere", "", "x" * 300])
def test_an_address_that_cannot_be_dialled_is_noted_and_the_peer_waited_for(address: str) -> None:
    cluster = Cluster(tcp_insecure())
    proxies = object.__new__(Proxies)
    proxies._noded = cast("Noded", SimpleNamespace(node_up=lambda *args: None))
    proxies._links = cluster.node(1).links
    proxies._notes = []
    news = Joined(2, Presence("b", 1, (address,)))
    proxies._look_up(cast("Registry", SimpleNamespace(take=lambda: [news])))
    assert proxies._links.peers[2].addresses == []
    (note,) = proxies._notes
    assert note.startswith("node 2 cannot be dialled by its entry in the registry: ")
    cluster.net.close()
