"""drvs for asyncio programs: the same calls, awaited.

    async with AsyncEndpoint(vm.bind(name="fs")) as ep:
        while True:
            request = await ep.receive_request()
            await ep.reply(request, answer(request))

A futex cannot be polled, so each AsyncEndpoint has one helper thread that sleeps in the core for it; calls that need
not wait are made in the loop's own thread. Cancelling a task interrupts its call and leaves the endpoint as usable as
before.
"""

from drvs.aio.endpoint import AsyncEndpoint
from drvs.aio.management import bind, lookup, wait_bound, wait_for_bind, wait_unbound

__all__ = ["AsyncEndpoint", "bind", "lookup", "wait_bound", "wait_for_bind", "wait_unbound"]
