"""Two processes of a VM: one adds, the other asks it to. Needs a node: `drvs up`."""

from multiprocessing import Process

import drvs


def adder() -> None:
    """Bind under a name, and answer requests until the VM ends."""
    with drvs.connect().vm("hello").bind(name="adder") as me:
        request = me.receive_request()
        while True:
            request.m1_i3 = request.m1_i1 + request.m1_i2
            request = me.reply_receive(request, request)


if __name__ == "__main__":
    with drvs.connect().create_vm("hello") as vm:
        Process(target=adder, daemon=True).start()
        with vm.bind() as me:
            server = vm.lookup("adder", timeout=5)
            answer = me.sendrec(server, drvs.Message(m1_i1=40, m1_i2=2), timeout=1)
            print("40 + 2 =", answer.m1_i3)
