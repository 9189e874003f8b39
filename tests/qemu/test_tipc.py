"""TIPC between two network namespaces, on a kernel that has it: what the tipc transport and its labs stand on."""

import sys

from qemu import guest

pytestmark = guest.marks()

SERVE = """
import socket
sock = socket.socket(socket.AF_TIPC, socket.SOCK_SEQPACKET)
sock.bind((socket.TIPC_ADDR_NAMESEQ, 7411, 1, 1, socket.TIPC_CLUSTER_SCOPE))
sock.listen(1)
print("ready", flush=True)
conn, _ = sock.accept()
conn.sendall(conn.recv(1000)[::-1])
"""

ASK = """
import socket, struct
sock = socket.socket(socket.AF_TIPC, socket.SOCK_SEQPACKET)
sock.settimeout(120)
topology = socket.socket(socket.AF_TIPC, socket.SOCK_SEQPACKET)
topology.settimeout(120)
topology.connect((socket.TIPC_ADDR_NAME, socket.TIPC_TOP_SRV, socket.TIPC_TOP_SRV, 0))
topology.send(struct.pack("5I8s", 7411, 1, 1, socket.TIPC_WAIT_FOREVER & 0xFFFFFFFF, socket.TIPC_SUB_SERVICE, b""))
topology.recv(100)  # the service is there
sock.connect((socket.TIPC_ADDR_NAME, 7411, 1, 0))
sock.sendall(b"over TIPC")
print(sock.recv(1000).decode())
"""

BETWEEN_NODES = f"""
import subprocess, sys
from drvs.lab import Lab
with Lab(2, namespaces=True, transport="tipc", cluster=False) as lab:
    server = lab.node(1).popen([sys.executable, "-c", {SERVE!r}], stdout=subprocess.PIPE, text=True)
    server.stdout.readline()
    print(lab.node(0).run([sys.executable, "-c", {ASK!r}]).stdout)
    server.wait()
"""


def test_tipc_connects_two_nodes_of_a_lab() -> None:
    """The relay passes TIPC's frames; the supervisor has enabled the bearer on each node's interface."""
    done = guest.run([sys.executable, "-c", BETWEEN_NODES], timeout=300)
    assert done.checked().strip() == "CPIT revo"
