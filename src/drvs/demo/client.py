"""A client of the demo: `python -m drvs.demo.client VM LIST FIRST` fetches all files of LIST, from number FIRST on.

It knows nothing of nodes: the server may run anywhere. When the server dies it waits until the name is bound again, and
repeats the call it was in: fetching twice does no harm.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import drvs
from drvs.demo.report import report
from drvs.demo.wire import ABSENT, FETCH, NAME_BYTES, ROOM_BYTES, SERVER_NAME

_PATIENCE_S = 30.0
_REPORT_EVERY = 10
_LONG_NS = 300_000_000
"""A call that takes longer is told of."""


class Client:
    """Fetches files by name."""

    def __init__(self, vm: drvs.VM, endpoint: drvs.Endpoint) -> None:
        self.vm = vm
        self.endpoint = endpoint
        self.name = endpoint.block(NAME_BYTES)
        self.room = endpoint.block(ROOM_BYTES)
        self.message = drvs.Message()
        self.server = vm.lookup(SERVER_NAME, timeout=_PATIENCE_S)
        self.latencies: list[int] = []
        self.bytes = 0
        self.deaths = 0
        self.calls = 0  # to this server
        self.miscounted = 0  # answers from which a call was lost, or came twice

    def call(self, path: str, offset: int) -> drvs.Message:
        """Ask for one piece of a file; go on with the next server if this one dies."""
        while True:
            self.message.type = FETCH
            self.message.set_m7(len(path.encode()), ROOM_BYTES, offset, 0, self.name.address, self.room.address)
            start = time.perf_counter_ns()
            try:
                answer = self.endpoint.sendrec(self.server, self.message)
            except (drvs.PeerDied, drvs.NotBound) as error:
                self.deaths += 1
                report("died", code=error.code.canonical, server=int(self.server), file=path, at=time.monotonic())
                self.server, self.calls = self.vm.lookup(SERVER_NAME, timeout=_PATIENCE_S), 0
                report("resumed", server=int(self.server))
                continue
            self.answered(answer, path, time.perf_counter_ns() - start)
            return answer

    def answered(self, answer: drvs.Message, path: str, took_ns: int) -> None:
        """Note an answer."""
        self.latencies.append(took_ns)
        self.calls += 1
        self.miscounted += answer.m7_i4 != self.calls
        if took_ns > _LONG_NS:
            now = time.monotonic()
            report("waited", file=path, began=now - took_ns / 1e9, ended=now)

    def fetch(self, path: str) -> str:
        """Fetch a whole file and return its digest; empty if the server does not have it."""
        encoded = path.encode()
        self.name.view[: len(encoded)] = encoded
        digest, offset = hashlib.sha256(), 0
        while True:
            answer = self.call(path, offset)
            if answer.type == ABSENT:
                return ""
            digest.update(self.room.view[: answer.m7_i1])
            offset += answer.m7_i1
            if offset >= answer.m7_i2 or not answer.m7_i1:
                self.bytes += offset
                return digest.hexdigest()


def main(vm_name: str, list_file: str, first: str) -> None:
    """Fetch every file of the list and report their digests."""
    files = json.loads(Path(list_file).read_text())
    vm = drvs.connect().vm(vm_name)
    with vm.bind() as endpoint:
        client = Client(vm, endpoint)
        report("bound", endpoint=endpoint.endpoint)
        digests = {}
        for done, at in enumerate(range(int(first), int(first) + len(files)), 1):
            path = files[at % len(files)]
            digests[path] = client.fetch(path)
            while 4 * done >= 3 * len(files) and not client.deaths:
                client.fetch(path)  # far ahead of the others: call on, so as not to miss what is to come
            if done % _REPORT_EVERY == 0:
                report("progress", files=done)
        report(
            "finished",
            digests=digests,
            bytes=client.bytes,
            latencies=client.latencies,
            miscounted=client.miscounted,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
