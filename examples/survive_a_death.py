"""A server is killed in the middle of a call; its client is told, and calls the next one. Needs `drvs up`."""

from multiprocessing import Process
from multiprocessing.connection import Connection, Pipe

import drvs


def server(taken: Connection, answers: bool) -> None:
    """Take a request, say so, and answer it, or never do."""
    with drvs.connect().vm("mortal").bind(name="server") as me:
        request = me.receive_request()
        taken.send(int(me.id))
        if answers:
            me.reply(request, request)
        me.receive()


def start(answers: bool) -> tuple[Process, Connection]:
    """Start a server; the connection tells when it has taken a request."""
    ours, theirs = Pipe()
    process = Process(target=server, args=(theirs, answers), daemon=True)
    process.start()
    return process, ours


def call(vm_name: str) -> None:
    """Call the server; if it dies, call the next one. The request may run twice, which is no harm here."""
    with drvs.connect().vm(vm_name) as vm, vm.bind() as me:
        for attempt in (1, 2):
            found = vm.lookup("server", timeout=10)
            try:
                me.sendrec(found, drvs.Message())
                print(f"attempt {attempt}: answered", flush=True)
            except drvs.PeerDied as error:
                print(f"attempt {attempt}: {type(error).__name__}", flush=True)
                vm.wait_unbound(found, timeout=10)


if __name__ == "__main__":
    with drvs.connect().create_vm("mortal") as vm:
        first, took_it = start(answers=False)
        client = Process(target=call, args=("mortal",), daemon=True)
        client.start()
        endpoint = took_it.recv()
        first.kill()
        vm.wait_unbound(endpoint, timeout=10)
        second, _ = start(answers=True)
        client.join()
