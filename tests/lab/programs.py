"""Programs that run on nodes of a lab: an echo of TCP and UDP, and one that asks it, each talking over its pipes."""

import subprocess
import sys
from typing import Any

from drvs.lab import LabNode

ECHO = """
import select, socket, sys
place = sys.argv[1], int(sys.argv[2])
listener, datagrams = socket.create_server(place), socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(place)
print("ready", flush=True)
open_ones = [listener, datagrams]
while True:
    for sock in select.select(open_ones, [], [])[0]:
        if sock is listener:
            open_ones.append(listener.accept()[0])
        elif sock is datagrams:
            data, peer = datagrams.recvfrom(65536)
            datagrams.sendto(data, peer)
        elif data := sock.recv(65536):
            sock.sendall(data)
        else:
            open_ones.remove(sock)
            sock.close()
"""

ASK = """
import socket, sys, threading, time
place = sys.argv[1], int(sys.argv[2])
udp = socket.socket(type=socket.SOCK_DGRAM)
udp.connect(place)
tcp = socket.create_connection(place, 10)
tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print("ready", flush=True)
for line in sys.stdin:
    kind, size, timeout = line.split()
    sock, size, begun = {"udp": udp, "tcp": tcp}[kind], int(size), time.monotonic()
    sock.settimeout(float(timeout))
    threading.Thread(target=lambda: sock.sendall(bytes(size)), daemon=True).start()
    try:
        while size > 0:
            data = sock.recv(min(size, 65536))
            size -= len(data) or sys.maxsize
        print(f"{time.monotonic() - begun:.4f}" if size == 0 else "closed", flush=True)
    except TimeoutError:
        print("silence", flush=True)
    except OSError as error:
        print("error", error, flush=True)
"""


class Program:
    """A program on a node that reads and writes lines."""

    def __init__(self, node: LabNode, source: str, *arguments: Any) -> None:
        command = [sys.executable, "-c", source, *map(str, arguments)]
        self._process = node.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.hear() == "ready"

    def hear(self) -> str:
        """The next line; empty at the end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        """Say a line and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.hear()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
