"""Many calls at once: processes of node 0 that call one server on node 1; and pyzmq with as many messages under way."""

from __future__ import annotations

import os
import signal
import time
from itertools import repeat
from typing import Any

import drvs
from drvs.bench.cluster.peers import Peer, Zmq
from drvs.bench.mechanisms.base import PAYLOAD
from drvs.bench.mechanisms.ours import LOOKUP_S, VM_NAME
from drvs.bench.pair import spawn

CALLERS = 64


class Callee(Peer):
    """The server; it measures. While it does not serve, its callers are blocked. `port`: how many there are."""

    @property
    def server_name(self) -> str:
        """Its name in the VM."""
        return f"bench-{self.port}"

    def open(self) -> None:
        """Bind, and take the first request when it comes."""
        self.endpoint = drvs.connect().vm(VM_NAME).bind(name=self.server_name)
        self.request: Any = None

    def batch(self, calls: int) -> int:
        """Answer `calls` requests; nanoseconds of all."""
        if self.request is None:
            self.request = self.endpoint.receive_request(drvs.Message())
        reply_receive, request = self.endpoint.reply_receive, self.request
        start = time.perf_counter_ns()
        for _ in repeat(None, calls):
            reply_receive(request, request)
        return time.perf_counter_ns() - start

    def singles(self, calls: int, clock_cost: int) -> list[int]:
        """Time from one request to the next."""
        reply_receive, request, now, times = self.endpoint.reply_receive, self.request, time.perf_counter_ns, []
        for _ in repeat(None, calls):
            start = now()
            reply_receive(request, request)
            times.append(now() - start - clock_cost)
        return times


class Callers(Callee):
    """Its callers."""

    def serve(self) -> None:
        """Call until killed, from as many processes as there are to be."""
        cpus = os.sched_getaffinity(0)
        for _ in range(self.port):
            spawn(self.call_for_ever, cpus)
        self.ready()
        signal.pause()

    def call_for_ever(self) -> None:
        """Be one of them."""
        vm = drvs.connect().vm(VM_NAME)
        server = vm.lookup(self.server_name, timeout=LOOKUP_S)
        with vm.bind() as endpoint:
            message, sendrec = drvs.Message(1), endpoint.sendrec
            while True:
                sendrec(server, message)


class ZmqMany(Zmq):
    """pyzmq with CALLERS messages under way."""

    name = f"pyzmq, {CALLERS} outstanding"
    kinds = ("DEALER", "DEALER")

    def batch(self, calls: int) -> int:
        """Exchange `calls` messages."""
        asking = self.asking
        first = min(calls, CALLERS)
        start = time.perf_counter_ns()
        for _ in repeat(None, first):
            asking.send(PAYLOAD)
        for _ in repeat(None, calls - first):
            asking.recv()
            asking.send(PAYLOAD)
        for _ in repeat(None, first):
            asking.recv()
        return time.perf_counter_ns() - start

    def open(self) -> None:
        """Connect."""
        self.asking = self.dial()

        def call() -> None:
            self.asking.send(PAYLOAD)
            self.asking.recv()

        self.call = call


CROWDS: dict[str, type[Peer]] = {"callee": Callee, "callers": Callers, "zmq-many": ZmqMany}
