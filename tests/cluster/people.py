"""Programs that tests run on the nodes of a lab: `people.py ROLE ARGUMENTS`, in VM `work`."""

import sys

import drvs

QUIT = 99


def echo(name: str) -> None:
    """Answer calls with one more, until QUIT or the end of stdin's other side."""
    with drvs.connect().vm("work").bind(name=name) as ep:
        print(int(ep.id), flush=True)
        request = ep.receive()
        while request.type != QUIT:
            request.m1_i1 += 1
            request = ep.reply_receive(request.source, request)
        ep.reply(request.source, request)


def call(name: str, *numbers: str) -> None:
    """Call a name with each number; print the answers."""
    vm = drvs.connect().vm("work")
    with vm.bind() as ep:
        server = vm.lookup(name, timeout=20)
        for number in numbers:
            message = drvs.Message(type=QUIT if number == "quit" else 1)
            message.m1_i1 = 0 if number == "quit" else int(number)
            print(ep.sendrec(server, message, timeout=20).m1_i1)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
