"""Who is let in: over every transport that has certificates, the peer must be the node that it says it is."""

import time

import pytest

from drvs.cluster.ca.credentials import NodeCredentials
from drvs.cluster.session import Established
from support.certificates import authority, expired, issue
from support.links import TestNode, identity
from support.ways import WAYS, Cluster, Way, parameters


@pytest.fixture(params=parameters(secure=True))
def way(request: pytest.FixtureRequest) -> Way:
    """Each way with certificates."""
    return WAYS[request.param]()


def refused(cluster: Cluster, one: TestNode, two: TestNode, reason: str) -> str:
    """Let `one` dial `two`; return what both say when it comes to nothing, once one of them names the reason."""
    one.links.add_peer(two.number, [two.address])

    def told() -> str:
        return one.reasons(two.number) + "\n" + two.reasons()

    cluster.net.run_until(lambda: reason in told())
    assert not one.said(Established) + two.said(Established)
    return told()


def test_a_certificate_of_another_cluster_is_refused(cluster: Cluster) -> None:
    foreign = NodeCredentials(issue(1, of=authority("lab", which=2)), time.time())
    refused(cluster, cluster.node(1, proof=foreign), cluster.node(2), "certificate")


def test_a_listener_with_a_certificate_of_another_cluster_is_refused(cluster: Cluster) -> None:
    foreign = NodeCredentials(issue(2, of=authority("lab", which=2)), time.time())
    refused(cluster, cluster.node(1), cluster.node(2, proof=foreign), "certificate")


def test_an_expired_certificate_is_refused(cluster: Cluster) -> None:
    refused(cluster, cluster.node(1, proof=expired(1)), cluster.node(2), "expired")


def test_a_peer_that_claims_another_nodes_number_is_refused(cluster: Cluster) -> None:
    """It holds a good certificate of the cluster: node 5's."""
    liar = cluster.node(1, proof=NodeCredentials(issue(5), time.time()))
    told = refused(cluster, liar, cluster.node(2), "the peer says it is node 1")
    assert "certificate of node 5 ('node5')" in told


def test_a_listener_that_claims_another_nodes_number_is_refused(cluster: Cluster) -> None:
    liar = cluster.node(2, proof=NodeCredentials(issue(5), time.time()))
    refused(cluster, cluster.node(1), liar, "the peer says it is node 2")


def test_a_peer_that_claims_another_nodes_name_is_refused(cluster: Cluster) -> None:
    liar = cluster.node(1, identity(1, name="boss"))
    refused(cluster, liar, cluster.node(2), "the peer says it is node 1 ('boss')")


def test_somebody_elses_certificate_without_its_key_is_worth_nothing(cluster: Cluster) -> None:
    thief = NodeCredentials(issue(1), time.time())
    own_key = NodeCredentials(issue(1), time.time())
    thief.sign = own_key.sign  # type: ignore[method-assign]
    refused(cluster, cluster.node(1, proof=thief), cluster.node(2), "does not hold the key")


def test_an_insecure_node_is_refused_by_a_secure_one(cluster: Cluster) -> None:
    one, two = cluster.node(1, secure=False), cluster.node(2)
    told = refused(cluster, one, two, "s")
    assert "--insecure" in told or "TLS" in told


def test_a_secure_node_refuses_an_insecure_one(cluster: Cluster) -> None:
    one, two = cluster.node(1), cluster.node(2, secure=False)
    one.links.add_peer(2, [two.address])
    cluster.net.run_until(lambda: one.reasons(2) and two.reasons())
    assert not one.said(Established) + two.said(Established)
