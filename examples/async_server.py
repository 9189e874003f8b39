"""An asyncio program that serves requests and does other things meanwhile. Needs a node: `drvs up`."""

import asyncio
from multiprocessing import Process

import drvs
from drvs import aio


def client(words: list[str]) -> None:
    """Call the server once for each word."""
    vm = drvs.connect().vm("async")
    with vm.bind() as me:
        server = vm.lookup("upper", timeout=5)
        for word in words:
            answer = me.sendrec(server, drvs.Message(m3_ca1=word.encode()), timeout=5)
            print(answer.m3_ca1.decode(), flush=True)


async def serve(vm: drvs.VM) -> None:
    """Answer requests until cancelled."""
    async with aio.AsyncEndpoint(vm.bind(name="upper")) as me:
        async for request in me.requests():
            request.m3_ca1 = request.m3_ca1.upper()
            await me.reply(request, request)


async def main() -> None:
    """Serve for as long as the client lives."""
    with drvs.connect().create_vm("async") as vm:
        server = asyncio.create_task(serve(vm))
        process = Process(target=client, args=(["hello", "world"],), daemon=True)
        process.start()
        await asyncio.to_thread(process.join)
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
