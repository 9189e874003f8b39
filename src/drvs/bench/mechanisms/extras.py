"""Peers that are packages (extra `bench`): pyzmq, iceoryx2, gRPC. Absent ones are skipped by name.

They are imported behind the fork, in each side, since they start threads.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any

from drvs.bench.mechanisms.base import PAYLOAD, Mechanism


class _Package(Mechanism):
    package = "?"

    def missing(self) -> str | None:
        return None if find_spec(self.package) else "not installed (pip install 'drvs[bench]')"

    def prepare(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="drvs-bench-")

    def close(self) -> None:
        rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return os.path.join(self.folder, "socket")


class Zmq(_Package):
    """pyzmq, REQ and REP over its ipc transport."""

    name = "pyzmq"
    package = "zmq"

    def serve(self) -> None:
        import zmq

        socket = zmq.Context().socket(zmq.REP)
        socket.bind(f"ipc://{self.address}")
        while True:
            socket.send(socket.recv())

    def connect(self) -> Callable[[], object]:
        import zmq

        socket = zmq.Context().socket(zmq.REQ)
        socket.connect(f"ipc://{self.address}")

        def call() -> None:
            socket.send(PAYLOAD)
            socket.recv()

        return call


class Grpc(_Package):
    """gRPC over a Unix socket: one unary method that gives its argument back, no protobuf."""

    name = "gRPC"
    package = "grpc"

    def serve(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        import grpc

        echo = grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
        handler = grpc.method_handlers_generic_handler("drvs.Bench", {"Echo": echo})
        server = grpc.server(ThreadPoolExecutor(max_workers=1), handlers=(handler,))
        server.add_insecure_port(f"unix://{self.address}")
        server.start()
        server.wait_for_termination()

    def connect(self) -> Callable[[], object]:
        import grpc

        echo = grpc.insecure_channel(f"unix://{self.address}").unary_unary("/drvs.Bench/Echo")
        echo(PAYLOAD, wait_for_ready=True)
        return lambda: echo(PAYLOAD)


class Iceoryx(_Package):
    """iceoryx2 request and response; both sides poll."""

    name = "iceoryx2 (polling)"
    package = "iceoryx2"
    events = False

    def prepare(self) -> None:
        super().prepare()
        self.ready = os.pipe()
        self.prefix = f"drvs-bench-{os.path.basename(self.folder)}-"

    def _open(self) -> tuple[Any, Any, Any, type]:
        """The package, the node, the service and the payload's type."""
        import iceoryx2 as iox

        iox.set_log_level(iox.LogLevel.Fatal)
        payload = ctypes.c_uint8 * 64
        own = iox.config.default()
        own.global_cfg.root_path = iox.Path.new(self.folder)
        own.global_cfg.prefix = iox.FileName.new(self.prefix)
        builder = iox.NodeBuilder.new().config(own).signal_handling_mode(iox.SignalHandlingMode.Disabled)
        node = builder.create(iox.ServiceType.Ipc)
        named = node.service_builder(iox.ServiceName.new("bench"))
        return iox, node, named.request_response(payload, payload).open_or_create(), payload

    def _event(self, iox: Any, node: Any, which: str) -> Any:
        return node.service_builder(iox.ServiceName.new(which)).event().open_or_create()

    def _wait(self, listener: Any) -> None:
        if self.events:
            listener.blocking_wait()

    def serve(self) -> None:
        iox, node, service, payload = self._open()
        server = service.server_builder().create()
        listener = self._event(iox, node, "there").listener_builder().create()
        notifier = self._event(iox, node, "back").notifier_builder().create()
        answer = payload()
        os.write(self.ready[1], b"+")
        while True:
            request = server.receive()
            if request is None:
                self._wait(listener)
                continue
            request.send_copy(answer)
            if self.events:
                notifier.notify()

    def connect(self) -> Callable[[], object]:
        os.read(self.ready[0], 1)
        iox, node, service, payload = self._open()
        client = service.client_builder().create()
        notifier = self._event(iox, node, "there").notifier_builder().create()
        listener = self._event(iox, node, "back").listener_builder().create()
        question = payload()

        def call() -> None:
            pending = client.send_copy(question)
            if self.events:
                notifier.notify()
            while pending.receive() is None:
                self._wait(listener)

        return call

    def close(self) -> None:
        super().close()
        for left_over in Path("/dev/shm").glob(self.prefix + "*"):
            left_over.unlink(missing_ok=True)
        for fd in self.ready:
            os.close(fd)


class IceoryxEvents(Iceoryx):
    """iceoryx2 request and response, woken by its events."""

    name = "iceoryx2 (events)"
    events = True


def extras() -> list[Mechanism]:
    """Return the peers that are packages, installed or not."""
    return [Zmq(), Iceoryx(), IceoryxEvents(), Grpc()]
