"""Many calls at once: processes of node 0 that call one server on node 1; and what pyzmq has for that.

pyzmq is measured in four ways. Calls whose answers find their way, to the process that asked (the server's ROUTER sees
to that) and there to the call (they are numbered), as `sendrec` has it: by one process that has many under way, or by
as many processes. Calls that a lone server answers one after the other, so that one can count which answer it is (REP).
And one stream of messages to and fro, of which nobody knows what answers what.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from itertools import count, repeat
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


def call_from(processes: int, call_for_ever: Callable[[], None]) -> None:
    """Be so many processes."""
    cpus = os.sched_getaffinity(0)
    for _ in range(processes):
        spawn(call_for_ever, cpus)


class Callers(Callee):
    """Its callers."""

    def serve(self) -> None:
        """Call until killed, from as many processes as there are to be."""
        call_from(self.port, self.call_for_ever)
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


class ZmqStream(Zmq):
    """pyzmq with CALLERS messages under way, in one stream."""

    name = f"pyzmq, {CALLERS} outstanding, one stream"
    kinds = ("DEALER", "DEALER")

    def batch(self, calls: int) -> int:
        """Exchange `calls` messages."""
        send, receive = self.send, self.receive
        first = min(calls, CALLERS)
        start = time.perf_counter_ns()
        for _ in repeat(None, first):
            send()
        for _ in repeat(None, calls - first):
            receive()
            send()
        for _ in repeat(None, first):
            receive()
        return time.perf_counter_ns() - start

    def open(self) -> None:
        """Connect."""
        self.asking = self.dial()

        def call() -> None:
            self.send()
            self.receive()

        self.call = call

    def send(self) -> None:
        """Send a message."""
        self.asking.send(PAYLOAD)

    def receive(self) -> None:
        """Receive one."""
        self.asking.recv()


class ZmqMany(ZmqStream):
    """pyzmq with CALLERS calls under way."""

    name = f"pyzmq, {CALLERS} outstanding"
    kinds = ("DEALER", "ROUTER")

    def answer(self, answering: Any) -> None:
        """Echo to whoever asks."""
        while True:
            answering.send_multipart(answering.recv_multipart())

    def open(self) -> None:
        """Connect."""
        super().open()
        self.numbers = count()
        self.under_way: set[bytes] = set()

    def send(self) -> None:
        """Ask."""
        number = next(self.numbers).to_bytes(8, "little")
        self.under_way.add(number)
        self.asking.send_multipart((number, PAYLOAD))

    def receive(self) -> None:
        """Receive an answer, and see what to."""
        number, _payload = self.asking.recv_multipart()
        self.under_way.remove(number)


class ZmqInOrder(ZmqStream):
    """pyzmq with CALLERS calls under way, whose answers come in their order."""

    name = f"pyzmq, {CALLERS} outstanding, in order"
    kinds = ("DEALER", "REP")

    def open(self) -> None:
        """Connect."""
        import zmq

        super().open()
        self.more = zmq.SNDMORE

    def send(self) -> None:
        """Ask, behind the empty frame that REP wants."""
        self.asking.send(b"", self.more)
        self.asking.send(PAYLOAD)

    def receive(self) -> None:
        """Receive the empty frame and the answer."""
        self.asking.recv()
        self.asking.recv()


class ZmqCallee(Zmq):
    """The server of many processes; it measures."""

    name = f"pyzmq, {CALLERS} callers"
    kinds = ("REQ", "ROUTER")

    def open(self) -> None:
        """Listen."""
        import zmq

        self.answering = zmq.Context().socket(zmq.ROUTER)
        self.answering.bind(f"tcp://0.0.0.0:{self.port}")

        def call() -> None:
            self.answering.send_multipart(self.answering.recv_multipart())

        self.call = call


class ZmqCallers(Zmq):
    """Its callers."""

    def serve(self) -> None:
        """Call until killed."""
        call_from(CALLERS, self.call_for_ever)
        self.ready()
        signal.pause()

    def call_for_ever(self) -> None:
        """Be one of them."""
        call = self.connect()
        while True:
            call()


CROWDS: dict[str, type[Peer]] = {
    "callee": Callee, "callers": Callers, "zmq-many": ZmqMany, "zmq-stream": ZmqStream,
    "zmq-in-order": ZmqInOrder, "zmq-callee": ZmqCallee, "zmq-callers": ZmqCallers,
}  # fmt: skip
