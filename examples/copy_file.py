"""A server copies a file straight into the memory of the client that asks for it. Needs a node: `drvs up`."""

import hashlib
from multiprocessing import Process
from pathlib import Path

import drvs

READ = 1
FILE = Path(__file__)


def file_server() -> None:
    """Answer READ requests: m1_p1 and m1_i1 are the client's memory, m1_i1 of the answer how much was copied."""
    with drvs.connect().vm("files").bind(name="files") as me:
        data = FILE.read_bytes()
        request = me.receive_request()
        while True:
            size = min(len(data), request.m1_i1)
            me.copy(data[:size], (request.source, request.m1_p1))
            request.m1_i1 = size
            request = me.reply_receive(request, request)


if __name__ == "__main__":
    with drvs.connect().create_vm("files") as vm:
        Process(target=file_server, daemon=True).start()
        with vm.bind() as me, me.block(65536) as block:
            server = vm.lookup("files", timeout=5)
            answer = me.sendrec(server, drvs.Message(READ, m1_p1=block.address, m1_i1=block.length), timeout=5)
            received = bytes(block.view[: answer.m1_i1])
            same = hashlib.sha256(received).digest() == hashlib.sha256(FILE.read_bytes()).digest()
            print(f"{len(received)} bytes of {FILE.name}, {'the same' if same else 'different'}")
