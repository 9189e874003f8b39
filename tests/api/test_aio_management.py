"""Binding and waiting in asyncio programs: the loop stays free, and cancelling tells noded."""

import asyncio

import pytest

import drvs
from drvs import Message, aio
from support.children import spawn


def test_an_asyncio_program_binds_and_serves(vm):
    def call_the_server(me):
        with vm.bind() as ep:
            return ep.sendrec(vm.lookup("server"), Message(1)).type

    async def main():
        async with await aio.bind(vm, slot=5, name="server") as ep:
            child = spawn(call_the_server)
            request = await ep.receive_request(timeout=20)
            await ep.reply(request, Message(2))
            return await asyncio.to_thread(child.result)

    assert asyncio.run(main()) == 2
    assert vm.processes() == []


def test_a_lookup_waits_without_holding_up_the_loop(vm):
    async def main():
        looking = asyncio.create_task(aio.lookup(vm, "late", timeout=20))
        waiting = asyncio.create_task(aio.wait_bound(vm, 6, timeout=20))
        while vm.node.client.call("status")["waiting"] < 2:
            await asyncio.sleep(0)
        async with await aio.bind(vm, slot=6, name="late") as ep:
            assert await looking == ep.id
            await waiting
            gone = asyncio.create_task(aio.wait_unbound(vm, 6, timeout=20))
        await gone

    asyncio.run(main())


def test_a_cancelled_wait_is_cancelled_at_noded_too(vm):
    async def main():
        looking = asyncio.create_task(aio.lookup(vm, "never", timeout=None))
        while vm.node.client.call("status")["waiting"] == 0:
            await asyncio.sleep(0)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        while vm.node.client.call("status")["waiting"]:
            await asyncio.sleep(0)

    asyncio.run(main())


def test_errors_are_those_of_the_plain_calls(vm):
    async def main():
        with pytest.raises(drvs.NotBound):
            await aio.lookup(vm, "nobody")
        with pytest.raises(drvs.TimedOut):
            await aio.lookup(vm, "nobody", timeout=0.02)
        with pytest.raises(drvs.TimedOut):
            await aio.wait_for_bind(0.02)
        with pytest.raises(drvs.DaemonGone):
            await aio.wait_for_bind(runtime_dir="/nonexistent")
        with pytest.raises(drvs.Busy):
            async with await aio.bind(vm, slot=5):
                await aio.bind(vm, slot=5)

    asyncio.run(main())


def test_an_asyncio_program_meets_the_binding_that_another_made(vm):
    async def main():
        ep = await aio.wait_for_bind(20)
        return ep.id, ep.name, ep.vm.name

    child = spawn(lambda me: asyncio.run(main()))
    endpoint = vm.lclbind(child.pid, name="job")
    assert child.result() == (endpoint, "job", "lab")
