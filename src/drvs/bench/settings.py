"""How long to measure: the full run, and a quick one for a first look."""

from __future__ import annotations

from dataclasses import dataclass, field

from drvs.bench.stats import clock_cost


@dataclass
class Settings:
    """Sizes of a run.

    Attributes:
        quick: a first look rather than figures to quote.
        rounds: of mechanisms that take turns.
        peer_rounds: of the others.
        batch_s: seconds of one batch: short, so that most batches are not disturbed at all, and the median is not.
        singles: calls timed one by one in a round, at most.
        endpoints: how many the scale table binds, and
        threads: how many of them are threads of their own.
        workers: how many a pool has whose start is timed, and
        start_rounds: how often it is started.
        copies: of a program, in a round, at most.
        map_calls: of one `map`.
        idle_s: seconds over which a waiting process is watched.
        cluster_rounds: of calls between nodes,
        cluster_singles: calls timed one by one in such a round, and
        paced_calls: calls with pauses between them.
        cluster_s: seconds of a batch of them.
        stream_rounds: of large blocks between nodes, and
        stream_s: seconds of one.
        peers: that a node knows whose memory is measured.
        histories: of five nodes, simulated, and
        history_nodes: of a larger one,
        history_messages: that are received in it.
        clock_cost: nanoseconds taken off single calls.
        skipped: what was not measured, and why.
    """

    quick: bool = False
    rounds: int = 50
    peer_rounds: int = 15
    batch_s: float = 0.01
    singles: int = 1000
    endpoints: int = 30_000
    threads: int = 10_000
    workers: int = 64
    start_rounds: int = 5
    copies: int = 256
    map_calls: int = 5000
    idle_s: float = 5.0
    cluster_rounds: int = 30
    cluster_singles: int = 200
    paced_calls: int = 50
    cluster_s: float = 0.1
    stream_rounds: int = 15
    stream_s: float = 0.1
    peers: int = 1000
    histories: int = 20
    history_nodes: int = 1000
    history_messages: int = 100_000
    clock_cost: int = field(default_factory=clock_cost)
    skipped: dict[str, str] = field(default_factory=dict)


def full() -> Settings:
    """Return the settings for figures to quote."""
    return Settings()


def quick() -> Settings:
    """Return the settings for a first look: half a minute, and a smaller crowd in the scale table."""
    return Settings(
        quick=True, rounds=10, peer_rounds=4, batch_s=0.005, singles=500, endpoints=3000, threads=1000, idle_s=1.5,
        start_rounds=1, map_calls=1000, cluster_rounds=6, cluster_singles=100, paced_calls=20, cluster_s=0.03,
        stream_rounds=3, peers=200, histories=5, history_nodes=100, history_messages=5000,
    )  # fmt: skip
