"""Programs that tests run on the nodes of a lab: `people.py ROLE ARGUMENTS`, in VM `work`."""

import sys

import drvs

QUIT = 99


def echo(name: str) -> None:
    """Answer calls with one more, until QUIT or the end of stdin's other side."""
    with drvs.connect().vm("work", timeout=20).bind(name=name) as ep:
        print(int(ep.id), flush=True)
        request = ep.receive()
        while request.type != QUIT:
            request.m1_i1 += 1
            request = ep.reply_receive(request.source, request)
        ep.reply(request.source, request)


def call(name: str, *numbers: str) -> None:
    """Call a name with each number; print the answers."""
    vm = drvs.connect().vm("work", timeout=20)
    with vm.bind() as ep:
        server = vm.lookup(name, timeout=20)
        for number in numbers:
            message = drvs.Message(type=QUIT if number == "quit" else 1)
            message.m1_i1 = 0 if number == "quit" else int(number)
            print(ep.sendrec(server, message, timeout=20).m1_i1)


def work(name: str, count: str) -> None:
    """Call a name again and again, and tell each hundredth: no answer may be lost, come twice or be another's."""
    vm = drvs.connect().vm("work", timeout=20)
    with vm.bind() as ep:
        server = vm.lookup(name, timeout=20)
        for number in range(int(count)):
            message = drvs.Message(type=1)
            message.m1_i1 = number
            answer = ep.sendrec(server, message, timeout=60)
            assert answer.m1_i1 == number + 1, f"{answer.m1_i1} instead of {number + 1}"
            if number % 100 == 99:
                print(number + 1, flush=True)
    print("done", flush=True)


def hold(name: str) -> None:
    """Take one call and never answer it."""
    with drvs.connect().vm("work", timeout=20).bind(name=name) as ep:
        print(int(ep.id), flush=True)
        ep.receive()
        print("taken", flush=True)
        sys.stdin.read()


def wait_for_the_end_of(name: str) -> None:
    """Call a name that never answers; print what the call ends with."""
    vm = drvs.connect().vm("work", timeout=20)
    with vm.bind() as ep:
        server = vm.lookup(name, timeout=20)
        try:
            ep.sendrec(server, drvs.Message(type=1), timeout=60)
        except drvs.DrvsError as error:
            print(error.code.name)


def library(name: str, size: str) -> None:
    """Offer a block, and answer each call with its address, until QUIT. Then say whether it was overwritten."""
    nbytes = int(size)
    with drvs.connect().vm("work", timeout=20).bind(name=name) as ep:
        block = ep.block(nbytes)
        block.view[:] = bytes(i % 251 for i in range(nbytes))
        request = ep.receive()
        while request.type != QUIT:
            request.m2_l1, request.m2_l2 = block.address, nbytes
            request = ep.reply_receive(request.source, request)
        print(bytes(block.view) == bytes(i % 241 for i in range(nbytes)), flush=True)
        ep.reply(request.source, request)


def reader(name: str) -> None:
    """Copy a library's block here, and another one there."""
    vm = drvs.connect().vm("work", timeout=20)
    with vm.bind() as ep:
        server = vm.lookup(name, timeout=20)
        where = ep.sendrec(server, drvs.Message(type=1), timeout=20)
        address, nbytes = where.m2_l1, where.m2_l2
        mine = ep.block(nbytes)
        print(ep.copy((server, address), mine), flush=True)
        print(bytes(mine.view) == bytes(i % 251 for i in range(nbytes)), flush=True)
        mine.view[:] = bytes(i % 241 for i in range(nbytes))
        print(ep.copy(mine, (server, address)), flush=True)
        ep.sendrec(server, drvs.Message(type=QUIT), timeout=20)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
