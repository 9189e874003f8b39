"""What calls are compared: each way to send 64 bytes to another node and get 64 back, as a client and a server.

Servers listen on all addresses of their node at a port of their own. Packages are imported where they are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import repeat
from typing import Any

from drvs.bench.mechanisms.base import PAYLOAD, Mechanism, read_exactly
from drvs.bench.mechanisms.ours import Ours

UNCOUNTED = 3
"""Calls with pauses that are made before they count."""
NOT_INSTALLED = "not installed (pip install 'drvs[bench]')"


class Peer(Mechanism):
    """A mechanism between two nodes.

    Args:
        host: the address of the server's node.
        port: where its server listens.
        folder: a directory with the certificates that it may need.
    """

    package = ""

    def __init__(self, host: str = "", port: int = 0, folder: str = "") -> None:
        self.host, self.port, self.folder = host, port, folder

    def missing(self) -> str | None:
        """Say what this peer lacks here; empty if it can run."""
        return None if not self.package or find_spec(self.package) else NOT_INSTALLED

    def ready(self) -> None:
        """Say that the server listens."""
        print("ready", flush=True)

    def paced(self, calls: int, pause_s: float) -> list[int]:
        """Time `calls` calls one by one, with a pause before each.

        The first ones do not count: what came before them was a pause of its own, in which others had the caches.
        """
        call, now, times = self.call, time.perf_counter_ns, []
        for _ in repeat(None, UNCOUNTED + calls):
            time.sleep(pause_s)
            start = now()
            call()
            times.append(now() - start)
        return times[UNCOUNTED:]


class Drvs(Ours, Peer):
    """sendrec, and reply_receive on the other node."""

    server_name = "bench-echo"

    def __init__(self, host: str = "", port: int = 0, folder: str = "") -> None:
        Peer.__init__(self, host, port, folder)

    def answer(self, endpoint: Any) -> None:
        """Answer calls until it is killed."""
        self.ready()
        super().answer(endpoint)


class Tcp(Peer):
    """A bare socket of Python: sendall and recv."""

    name = "bare TCP socket"

    def listen(self) -> socket.socket:
        """Listen."""
        listener = socket.create_server(("0.0.0.0", self.port))
        self.ready()
        return listener

    def serve(self) -> None:
        """Serve until it is killed."""
        with self.listen() as listener:
            while True:
                with contextlib.suppress(ConnectionError):
                    self.answer(self.wrap(listener.accept()[0], server=True))

    def answer(self, sock: socket.socket) -> None:
        """Echo."""
        receive, send = sock.recv, sock.sendall
        while True:
            send(read_exactly(receive))

    def wrap(self, sock: socket.socket, *, server: bool) -> socket.socket:
        """Prepare a connected socket."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def dial(self) -> socket.socket:
        """Connect."""
        return self.wrap(socket.create_connection((self.host, self.port)), server=False)

    def connect(self) -> Callable[[], object]:
        """Return what makes one call."""
        sock = self.dial()
        receive, send = sock.recv, sock.sendall

        def call() -> None:
            send(PAYLOAD)
            read_exactly(receive)

        return call


class Tls(Tcp):
    """The same in TLS 1.3, both ends with certificates, as the links between nodes have them."""

    name = "bare TLS 1.3 socket"

    def wrap(self, sock: socket.socket, *, server: bool) -> socket.socket:
        """Put TLS over a connected socket."""
        super().wrap(sock, server=server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        own = os.path.join(self.folder, "node-1" if server else "node-0")
        context.load_cert_chain(os.path.join(own, "node.crt"), os.path.join(own, "node.key"))
        context.load_verify_locations(os.path.join(own, "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        return context.wrap_socket(sock, server_side=server)


class Zmq(Peer):
    """pyzmq, REQ and REP."""

    name = "pyzmq"
    package = "zmq"
    kinds = ("REQ", "REP")

    def serve(self) -> None:
        """Serve until it is killed."""
        import zmq

        answering = zmq.Context().socket(getattr(zmq, self.kinds[1]))
        answering.bind(f"tcp://0.0.0.0:{self.port}")
        self.ready()
        self.answer(answering)

    def answer(self, answering: Any) -> None:
        """Echo."""
        while True:
            answering.send(answering.recv())

    def dial(self) -> Any:
        """Connect."""
        import zmq

        asking = zmq.Context().socket(getattr(zmq, self.kinds[0]))
        asking.connect(f"tcp://{self.host}:{self.port}")
        return asking

    def connect(self) -> Callable[[], object]:
        """Return what makes one call."""
        asking = self.dial()

        def call() -> None:
            asking.send(PAYLOAD)
            asking.recv()

        return call


class Rpyc(Peer):
    """rpyc: a method of a remote service."""

    name = "rpyc"
    package = "rpyc"

    def serve(self) -> None:
        """Serve until it is killed."""
        import rpyc
        from rpyc.utils.server import ThreadedServer

        class Echo(rpyc.Service):  # type: ignore[misc]
            def exposed_echo(self, payload: bytes) -> bytes:
                return payload

        server = ThreadedServer(Echo, hostname="0.0.0.0", port=self.port)
        self.ready()
        server.start()

    def connect(self) -> Callable[[], object]:
        """Return what makes one call."""
        import rpyc

        echo = rpyc.connect(self.host, self.port).root.echo
        return lambda: echo(PAYLOAD)


class Grpc(Peer):
    """gRPC: one unary method that gives its argument back, no protobuf."""

    name = "gRPC"
    package = "grpc"

    def serve(self) -> None:
        """Serve until it is killed."""
        from concurrent.futures import ThreadPoolExecutor

        import grpc

        echo = grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
        handler = grpc.method_handlers_generic_handler("drvs.Bench", {"Echo": echo})
        server = grpc.server(ThreadPoolExecutor(max_workers=1), handlers=(handler,))
        server.add_insecure_port(f"0.0.0.0:{self.port}")
        server.start()
        self.ready()
        server.wait_for_termination()

    def connect(self) -> Callable[[], object]:
        """Return what makes one call."""
        import grpc

        echo = grpc.insecure_channel(f"{self.host}:{self.port}").unary_unary("/drvs.Bench/Echo")
        echo(PAYLOAD, wait_for_ready=True)
        return lambda: echo(PAYLOAD)


class Nats(Peer):
    """NATS request and reply; the server runs on the answering node."""

    name = "NATS request/reply"
    package = "nats"

    def missing(self) -> str | None:
        """Say what this peer lacks here; empty if it can run."""
        return super().missing() or (None if shutil.which("nats-server") else "nats-server is not installed")

    def serve(self) -> None:
        """Serve until it is killed."""
        nothing = subprocess.DEVNULL  # what it holds open would keep its reader waiting
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "nats-server", "-a", "0.0.0.0", "-p", str(self.port)],
            stdin=nothing, stdout=nothing, stderr=nothing,
        )  # fmt: skip
        asyncio.run(self._answer())

    async def _answer(self) -> None:
        import nats

        async def answer(message: Any) -> None:
            await message.respond(message.data)

        client = await nats.connect(
            f"nats://127.0.0.1:{self.port}", max_reconnect_attempts=100, reconnect_time_wait=0.1
        )
        await client.subscribe("echo", cb=answer)
        await client.flush()
        self.ready()
        await asyncio.Event().wait()

    def connect(self) -> Callable[[], object]:
        """Return what makes one call."""
        import nats

        loop = asyncio.new_event_loop()
        client = loop.run_until_complete(nats.connect(f"nats://{self.host}:{self.port}"))
        return lambda: loop.run_until_complete(client.request("echo", PAYLOAD, timeout=10))


PEERS: dict[str, type[Peer]] = {
    "drvs": Drvs, "tcp": Tcp, "tls": Tls, "zmq": Zmq, "rpyc": Rpyc, "grpc": Grpc, "nats": Nats,
}  # fmt: skip
"""By the word that names them on a command line."""
