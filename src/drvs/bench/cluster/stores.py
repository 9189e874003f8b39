"""Large blocks from node 0 to node 1: by copies into a server's memory, and through a bare socket."""

from __future__ import annotations

import socket
from collections.abc import Callable

import drvs
from drvs.bench.cluster.peers import Drvs, Peer, Tcp, Tls
from drvs.bench.cluster.sites import COPY_LEN_MAX
from drvs.bench.mechanisms.base import Mechanism
from drvs.bench.mechanisms.ours import LOOKUP_S, VM_NAME

WHOLE = COPY_LEN_MAX


class Store(Drvs):
    """Copies of `piece` bytes, one after the other, until WHOLE bytes are there; both ends in shared memory."""

    server_name = "bench-store"
    piece = 512 << 10
    open, batch, singles = Mechanism.open, Mechanism.batch, Mechanism.singles  # of `call`, not of sendrec

    def memory(self, endpoint: drvs.Endpoint) -> drvs.Block:
        """WHOLE bytes."""
        block = endpoint.block(WHOLE)
        block.view[:] = bytes(WHOLE)
        return block

    def answer(self, endpoint: drvs.Endpoint) -> None:
        """Tell where they go."""
        with self.memory(endpoint) as block:
            request = drvs.Message()
            self.ready()
            while True:
                endpoint.receive_request(request)
                request.m2_l1 = block.address
                endpoint.reply(request, request)

    def connect(self) -> Callable[[], object]:
        """Copy WHOLE bytes there."""
        vm = drvs.connect().vm(VM_NAME)
        server = vm.lookup(self.server_name, timeout=LOOKUP_S)
        endpoint = vm.bind()
        address = endpoint.sendrec(server, drvs.Message(1)).m2_l1
        block = self.memory(endpoint)
        steps = [(block[at : at + self.piece], (server, address + at)) for at in range(0, WHOLE, self.piece)]
        copy = endpoint.copy

        def call() -> None:
            for source, target in steps:
                copy(source, target)

        return call


class OtherMemory(Store):
    """The same, with memory that is each process's own."""

    server_name = "bench-other"

    def memory(self, endpoint: drvs.Endpoint) -> drvs.Block:
        """Memory, as this peer does it."""
        return endpoint.block(bytearray(WHOLE))


class WholeStore(Store):
    """WHOLE bytes in one copy."""

    server_name = "bench-whole"
    piece = WHOLE


class WholeOtherMemory(OtherMemory):
    """The same, with memory that is each process's own."""

    server_name = "bench-oth-whole"
    piece = WHOLE


class TcpStream(Tcp):
    """A bare socket: one sendall of WHOLE bytes, recv_into a buffer, and a byte when all is there."""

    def answer(self, sock: socket.socket) -> None:
        """Answer calls until it is killed."""
        view = memoryview(bytearray(WHOLE))
        while True:
            got = 0
            while got < WHOLE:
                n = sock.recv_into(view[got:])
                if not n:
                    return
                got += n
            sock.sendall(b"+")

    def connect(self) -> Callable[[], object]:
        """Return what makes one call."""
        sock, whole = self.dial(), bytearray(WHOLE)

        def call() -> None:
            sock.sendall(whole)
            sock.recv(1)

        return call


class TlsStream(TcpStream, Tls):
    """The same in TLS."""


STORES: dict[str, type[Peer]] = {
    "store": Store, "other-memory": OtherMemory, "whole-store": WholeStore, "whole-other-memory": WholeOtherMemory,
    "tcp-stream": TcpStream, "tls-stream": TlsStream,
}  # fmt: skip
