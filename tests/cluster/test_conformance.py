"""What every transport must do. `-k tcp`, `-k udp`, `-k tipc` or `-k nats` runs it over one."""

import random

import pytest

from drvs.cluster.session import Broken, Ended, Established, Settings
from drvs.cluster.wire.hello import Limits
from support.links import QUICK, identity, record
from support.ways import Cluster


def test_two_nodes_meet_and_know_who_the_other_is(cluster: Cluster) -> None:
    one, two = cluster.pair()
    met = one.said(Established, 2) + two.said(Established, 1)
    assert [(e.node, e.peer.name, e.resumed) for e in met] == [(2, "node2", False), (1, "node1", False)]
    assert met[0].peer == two.exchange.local


def test_records_and_control_messages_arrive_once_and_in_order(cluster: Cluster) -> None:
    one, two = cluster.pair()
    expected = []
    for n in range(500):
        body = b"%d " % n * (n % 50)
        one.links.send_records(2, record(body), 1)
        expected.append(body)
        if n % 7 == 0:
            one.links.send_control(2, n, b"note")
            expected.append(b"<%d>: note" % n)
    cluster.net.run_until(lambda: len(two.got(1)) >= len(expected))
    assert two.got(1) == expected


def test_a_blob_of_many_records_travels_as_one(cluster: Cluster) -> None:
    one, two = cluster.pair()
    bodies = [b"%d" % n for n in range(3000)]
    one.links.send_records(2, b"".join(map(record, bodies)), len(bodies))
    cluster.net.run_until(lambda: len(two.got(1)) == len(bodies))
    assert two.got(1) == bodies


def test_the_longest_record_and_a_blob_of_several_frames_arrive(cluster: Cluster) -> None:
    one, two = cluster.pair()
    most = QUICK.frame_bytes - 32 - 4
    bodies = [random.Random(1).randbytes(most), b"", b"x" * most, b"y" * (most // 2), b"z" * (most // 2)]
    one.links.send_records(2, b"".join(map(record, bodies)), len(bodies))
    cluster.net.run_until(lambda: len(two.got(1)) == len(bodies))
    assert two.got(1) == bodies


def test_both_directions_flow_at_once_and_the_backlog_empties(cluster: Cluster) -> None:
    one, two = cluster.pair()
    total, sent = 150, {1: 0, 2: 0}

    def pour() -> bool:
        for source, to in ((one, 2), (two, 1)):
            while sent[source.number] < total and not source.links.full(to):
                body = sent[source.number].to_bytes(4, "little") + bytes(100_000)
                source.links.send_records(to, record(body), 1)
                sent[source.number] += 1
        return len(one.got(2)) == len(two.got(1)) == total

    cluster.net.run_until(pour)
    for got in (one.got(2), two.got(1)):
        assert [int.from_bytes(body[:4], "little") for body in got] == list(range(total))
    cluster.net.run_until(lambda: one.exchange.sessions[2].backlog == two.exchange.sessions[1].backlog == 0)


def test_broken_connections_lose_and_repeat_nothing(cluster: Cluster) -> None:
    one, two = cluster.pair()
    rng = random.Random(7)
    sent = {1: 0, 2: 0}

    def harass() -> bool:
        for source, to in ((one, 2), (two, 1)):
            for _ in range(rng.randrange(8)):
                if sent[source.number] < 400 and source.connected(to) and not source.links.full(to):
                    source.links.send_records(to, record(b"%d" % sent[source.number]), 1)
                    sent[source.number] += 1
        if rng.random() < 0.05 and min(sent.values()) < 400:
            victim, other = rng.choice([(one, 2), (two, 1)])
            victim.events += victim.links.interrupt(other, "cut by the test")
        return len(one.got(2)) == len(two.got(1)) == 400

    cluster.net.run_until(harass, 60)
    assert one.got(2) == two.got(1) == [b"%d" % n for n in range(400)]
    assert not one.ended(2)
    assert not two.ended(1)
    assert one.said(Broken, 2)


def test_a_restarted_peer_ends_the_session_and_a_new_one_begins(cluster: Cluster) -> None:
    one, two = cluster.pair()
    cluster.net.drop(two)
    again = cluster.node(2)
    cluster.introduce(one, again)
    cluster.net.run_until(lambda: one.connected(2) and again.connected(1) and one.ended(2))
    assert "node 2 was restarted" in one.ended(2)
    assert [e.resumed for e in one.said(Established, 2)] == [False, False]
    one.links.send_records(2, record(b"new"), 1)
    cluster.net.run_until(lambda: again.got(1) == [b"new"])


def test_ending_a_session_tells_the_peer_why(cluster: Cluster) -> None:
    one, two = cluster.pair()
    one.events += one.links.remove_peer(2, "moved to another cluster")
    cluster.net.run_until(lambda: two.ended(1))
    assert "moved to another cluster" in two.ended(1)
    assert one.ended(2) == "moved to another cluster"
    assert "moved to another cluster" in two.reasons(1)


def test_a_silent_peer_is_noticed(cluster: Cluster) -> None:
    one, two = cluster.pair()
    cluster.net.nodes.remove(two)  # it does not crash, it only does nothing any more
    cluster.net.run_until(lambda: one.said(Broken, 2))
    assert "silent" in one.reasons(2)
    cluster.net.nodes.append(two)
    cluster.net.run_until(lambda: one.connected(2) and two.connected(1))
    one.links.send_records(2, record(b"still there"), 1)
    cluster.net.run_until(lambda: two.got(1) == [b"still there"])


def test_an_idle_connection_stays(cluster: Cluster) -> None:
    one, two = cluster.pair()
    cluster.net.run_for(1.5 * QUICK.silence_s)
    assert not one.said(Broken) + two.said(Broken)


def test_a_session_without_a_connection_ends(cluster: Cluster) -> None:
    one = cluster.node(1, settings=Settings(**{**_fields(QUICK), "resume_s": 0.3}))
    two = cluster.node(2)
    cluster.introduce(one, two)
    cluster.net.run_until(lambda: one.connected(2) and two.connected(1))
    cluster.net.drop(two)
    cluster.net.run_until(lambda: one.said(Ended, 2))
    assert "no connection to node 2 for 0.3 s" in one.ended(2)


def _fields(settings: Settings) -> dict[str, float]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def needs_wrong_addresses(cluster: Cluster) -> None:
    """Skip where an address belongs to one node of one cluster, so that no other can answer there."""
    if cluster.way.names_the_node:
        pytest.skip("the address itself names cluster and node")


def test_a_peer_of_another_cluster_is_refused_and_both_know_why(cluster: Cluster) -> None:
    needs_wrong_addresses(cluster)
    one, two = cluster.node(1), cluster.node(2, identity(2, cluster="other"))
    one.links.add_peer(2, [two.address])
    cluster.net.run_until(lambda: one.reasons(2) and two.reasons())
    told = one.reasons(2) + two.reasons()
    assert "of cluster 'lab', this node of 'other'" in told or "not issued by this cluster's authority" in told
    assert not one.said(Established)


def test_a_node_that_is_not_the_expected_one_is_refused(cluster: Cluster) -> None:
    needs_wrong_addresses(cluster)
    one, two = cluster.node(1), cluster.node(2)
    one.links.add_peer(3, [two.address])
    cluster.net.run_until(lambda: "node 2 answers where node 3 should" in one.reasons(3))
    cluster.net.run_until(lambda: "node 2 answers where node 3 should" in two.reasons())


def test_a_node_that_has_our_own_number_is_refused(cluster: Cluster) -> None:
    needs_wrong_addresses(cluster)
    one, other = cluster.node(1), cluster.node(1)
    one.links.add_peer(3, [other.address])
    cluster.net.run_until(lambda: "this node's own number" in other.reasons())


def test_unequal_nr_tasks_are_refused(cluster: Cluster) -> None:
    one, two = cluster.node(1), cluster.node(2, identity(2, limits=Limits(nr_tasks=35)))
    one.links.add_peer(2, [two.address])
    cluster.net.run_until(lambda: "nr_tasks" in one.reasons(2) and "nr_tasks" in two.reasons())
    assert "node 1 has nr_tasks 67, this node 35" in two.reasons()


def test_other_limits_may_differ(cluster: Cluster) -> None:
    one, two = cluster.node(1), cluster.node(2, identity(2, limits=Limits(nr_procs=500, copy_len_max=1 << 20)))
    cluster.introduce(one, two)
    cluster.net.run_until(lambda: one.connected(2) and two.connected(1))
    assert one.exchange.sessions[2].peer.limits.nr_procs == 500


def test_nodes_without_a_common_version_part(cluster: Cluster) -> None:
    one, two = cluster.node(1), cluster.node(2, identity(2, versions=(2, 4)))
    one.links.add_peer(2, [two.address])
    cluster.net.run_until(lambda: "speaks versions" in two.reasons() and "speaks versions" in one.reasons(2))
    assert "node 1 speaks versions 1 to 1 of the protocol, this node 2 to 4" in two.reasons()


def test_the_highest_common_version_is_spoken(cluster: Cluster) -> None:
    one, two = cluster.node(1, identity(1, versions=(1, 3))), cluster.node(2, identity(2, versions=(2, 5)))
    cluster.introduce(one, two)
    cluster.net.run_until(lambda: one.connected(2) and two.connected(1))
    one.links.send_records(2, record(b"third"), 1)
    cluster.net.run_until(lambda: two.got(1) == [b"third"])
    assert one.exchange.sessions[2]._version == two.exchange.sessions[1]._version == 3


def test_a_peer_that_comes_late_is_found(cluster: Cluster) -> None:
    one, two = cluster.node(1), cluster.node(2)
    where = two.address
    cluster.net.drop(two)
    one.links.add_peer(2, [where])
    cluster.net.run_until(lambda: one.links.peers[2].reasons)
    late = cluster.node(2)
    one.links.add_peer(2, [where, late.address])
    cluster.net.run_until(lambda: one.connected(2) and late.connected(1))


def test_the_node_with_the_higher_number_dials_when_the_other_cannot(cluster: Cluster) -> None:
    one, two = cluster.node(1), cluster.node(2)
    one.links.add_peer(2, [])
    two.links.add_peer(1, [one.address])
    cluster.net.run_until(lambda: one.connected(2) and two.connected(1))


def test_several_nodes_have_a_session_with_each(cluster: Cluster) -> None:
    nodes = [cluster.node(number) for number in range(1, 5)]
    cluster.introduce(*nodes)
    cluster.net.run_until(lambda: all(a.connected(b.number) for a in nodes for b in nodes if a is not b))
    for a in nodes:
        for b in nodes:
            if a is not b:
                a.links.send_records(b.number, record(b"from %d" % a.number), 1)
    cluster.net.run_until(
        lambda: all(b.got(a.number) == [b"from %d" % a.number] for a in nodes for b in nodes if a is not b)
    )


def test_a_node_that_shuts_down_says_so(cluster: Cluster) -> None:
    one, two = cluster.pair()
    cluster.net.nodes.remove(two)
    two.links.close()
    cluster.net.run_until(lambda: one.ended(2))
    assert "shutting down" in one.ended(2)
