"""Our own calls, in the forms a program may use them, in the VM `bench` of the node that the bench started."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat

import drvs
from drvs.bench.mechanisms.base import Mechanism

VM_NAME = "bench"
LOOKUP_S = 10.0


class Ours(Mechanism):
    """sendrec against a server that answers and waits in one call (reply_receive)."""

    name = "drvs"
    server_name = "sendrec"
    vm_name = VM_NAME

    def prepare(self) -> None:
        self.server_name = f"{type(self).server_name}-{id(self) & 0xFFFF:x}"[:15]

    def serve(self) -> None:
        with drvs.connect().vm(self.vm_name).bind(name=self.server_name) as endpoint:
            self.answer(endpoint)

    def answer(self, endpoint: drvs.Endpoint) -> None:
        """Serve with reply_receive."""
        request = endpoint.receive_request(drvs.Message())
        reply_receive = endpoint.reply_receive
        while True:
            reply_receive(request, request)

    def open(self) -> None:
        vm = drvs.connect().vm(self.vm_name)
        self.server = vm.lookup(self.server_name, timeout=LOOKUP_S)
        self.endpoint = vm.bind()
        self.message = drvs.Message(1)
        self.call = self.connect()

    def connect(self) -> Callable[[], object]:
        sendrec, server, message = self.endpoint.sendrec, self.server, self.message
        return lambda: sendrec(server, message)

    def batch(self, calls: int) -> int:
        sendrec, server, message = self.endpoint.sendrec, self.server, self.message
        start = time.perf_counter_ns()
        for _ in repeat(None, calls):
            sendrec(server, message)
        return time.perf_counter_ns() - start

    def singles(self, calls: int, clock_cost: int) -> list[int]:
        sendrec, server, message = self.endpoint.sendrec, self.server, self.message
        now, times = time.perf_counter_ns, []
        for _ in repeat(None, calls):
            start = now()
            sendrec(server, message)
            times.append(now() - start - clock_cost)
        return times


class OursReceiveReply(Ours):
    """sendrec against a server that receives and answers in two calls."""

    name = "drvs (receive+reply)"
    server_name = "rcvreply"

    def answer(self, endpoint: drvs.Endpoint) -> None:
        receive, reply, request = endpoint.receive, endpoint.reply, drvs.Message()
        while True:
            receive(drvs.ANY, request)
            reply(request, request)


class OursSendReceive(Ours):
    """One message each way by send and receive."""

    name = "drvs (send/receive)"
    server_name = "sendrcv"

    def answer(self, endpoint: drvs.Endpoint) -> None:
        receive, send, message = endpoint.receive, endpoint.send, drvs.Message()
        while True:
            receive(drvs.ANY, message)
            send(message.source, message)

    def connect(self) -> Callable[[], object]:
        send, receive, server, message = self.endpoint.send, self.endpoint.receive, self.server, self.message

        def call() -> None:
            send(server, message)
            receive(server, message)

        return call

    batch = Mechanism.batch
    singles = Mechanism.singles


class OursNotify(OursSendReceive):
    """One notification each way."""

    name = "drvs (notify)"
    server_name = "notify"

    def answer(self, endpoint: drvs.Endpoint) -> None:
        receive, notify, message = endpoint.receive, endpoint.notify, drvs.Message()
        while True:
            receive(drvs.ANY, message)
            notify(message.source)

    def connect(self) -> Callable[[], object]:
        notify, receive, server, message = self.endpoint.notify, self.endpoint.receive, self.server, self.message

        def call() -> None:
            notify(server)
            receive(server, message)

        return call


class OursIdle(Ours):
    """sendrec with 100 us of sleep before each call, which is not counted: the server has gone to sleep by then."""

    name = "drvs (100 us idle)"
    server_name = "idle"
    most_calls = 50

    def batch(self, calls: int) -> int:
        return sum(self.singles(calls, 0))

    def singles(self, calls: int, clock_cost: int) -> list[int]:
        sendrec, server, message = self.endpoint.sendrec, self.server, self.message
        now, sleep, times = time.perf_counter_ns, time.sleep, []
        for _ in repeat(None, calls):
            sleep(100e-6)
            start = now()
            sendrec(server, message)
            times.append(now() - start - clock_cost)
        return times


def ours() -> list[Mechanism]:
    """Return our mechanisms, the main one first."""
    return [Ours(), OursReceiveReply(), OursSendReceive(), OursNotify(), OursIdle()]
