"""A server on one node and its caller on another, in a lab on this machine.

Neither part knows of nodes: started on two machines, after `drvs up --cluster FILE` on both, they do the same.
"""

import sys

import drvs
from drvs.lab import Lab


def serve() -> None:
    """Answer one call."""
    with drvs.connect().vm("work").bind(name="shout") as me:
        request = me.receive_request()
        request.m3_ca1 = request.m3_ca1.upper()
        me.reply(request, request)


def call() -> None:
    """Find the server, wherever it is, and call it."""
    vm = drvs.connect().vm("work")
    with vm.bind() as me:
        server = vm.lookup("shout", timeout=20)
        answer = me.sendrec(server, drvs.Message(m3_ca1=b"hello"), timeout=20)
        print(answer.m3_ca1.decode())


def main() -> None:
    """Start two nodes, and one part on each."""
    with Lab(2) as lab:
        lab.node(0).drvs("vm", "create", "work", "--nodes", "all")
        server = lab.node(0).popen([sys.executable, __file__, "serve"])
        print("node 1 got:", lab.node(1).run([sys.executable, __file__, "call"]).stdout.strip())
        server.wait(timeout=20)


if __name__ == "__main__":
    {"serve": serve, "call": call}.get(sys.argv[-1], main)()
