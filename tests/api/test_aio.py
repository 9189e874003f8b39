"""asyncio programs: receives that do not hold up the loop, cancellation that loses nothing, threads that end."""

import asyncio
import contextlib
import gc
import itertools
import threading

import pytest

import drvs
from drvs import Message
from drvs.aio import AsyncEndpoint


@pytest.fixture
def threads_end():
    before = set(threading.enumerate())
    yield
    gc.collect()
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


@pytest.fixture
def pair(bind, threads_end):
    """Two endpoints of one VM: the first for asyncio, the second for threads or asyncio too."""
    return bind("one"), bind("two")


async def blocked(endpoint):
    """Wait until the call of an endpoint sleeps in the core."""
    while not endpoint.region.snapshot(endpoint.slot)["rts"]:
        await asyncio.sleep(0)


async def idle(endpoint):
    while endpoint.region.snapshot(endpoint.slot)["rts"]:
        await asyncio.sleep(0)


def test_a_call_and_its_answer_between_two_tasks(pair):
    async def serve(ep):
        request = await ep.receive_request()
        request.m1_i1 += 1
        await ep.reply(request, request)

    async def main():
        async with AsyncEndpoint(pair[0]) as client, AsyncEndpoint(pair[1]) as server:
            serving = asyncio.create_task(serve(server))
            answer = await client.sendrec(server.id, Message(1, m1_i1=41))
            await serving
            return answer.m1_i1

    assert asyncio.run(main()) == 42


def test_a_waiting_receive_leaves_the_loop_free(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one, AsyncEndpoint(pair[1]) as two:
            waiting = asyncio.create_task(one.receive())
            await blocked(one.endpoint)
            assert not waiting.done()
            await two.send(one.id, Message(7))
            message = await waiting
            return message.type, message.source == two.id

    assert asyncio.run(main()) == (7, True)


def test_what_is_there_already_is_received_without_the_thread(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            pair[1].notify(one.id, 5)
            message = await one.receive()
            return message.is_notify, message.m9_l1, one._inline

    assert asyncio.run(main()) == (True, 5, 1)


def test_timeouts_are_those_of_the_call(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            with pytest.raises(drvs.TimedOut):
                await one.receive(timeout=0.01)
            with pytest.raises(drvs.WouldBlock):
                await one.receive(timeout=0)
            with pytest.raises(drvs.TimedOut):
                await one.sendrec(pair[1].id, Message(), timeout=0.01)

    asyncio.run(main())


def test_errors_name_the_operation_and_the_parties(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            with pytest.raises(drvs.BadEndpoint) as caught:
                await one.send(one.id, Message())
            assert caught.value.operation == "send"
            assert caught.value.endpoint == caught.value.peer == one.id

    asyncio.run(main())


@pytest.mark.parametrize("call", ["receive", "receive_request", "send", "sendrec"])
def test_cancelling_a_call_interrupts_it_and_leaves_the_endpoint_usable(pair, call):
    async def main():
        async with AsyncEndpoint(pair[0]) as one, AsyncEndpoint(pair[1]) as two:
            arguments = (two.id, Message(1)) if call.startswith("send") else ()
            task = asyncio.create_task(getattr(one, call)(*arguments))
            await blocked(one.endpoint)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not one.endpoint.region.snapshot(one.endpoint.slot)["rts"]
            receiving = asyncio.create_task(two.receive())
            await one.send(two.id, Message(2))
            return (await receiving).type

    assert asyncio.run(main()) == 2


def test_cancelling_before_the_thread_has_begun_is_enough(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            for _ in range(200):
                task = asyncio.create_task(one.receive())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())


def test_a_message_that_came_with_the_cancellation_is_kept_for_the_next_receive(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            task = asyncio.create_task(one.receive())
            await blocked(one.endpoint)
            pair[1].send(one.id, Message(9))  # delivered: the helper has it, the loop does not know yet
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return (await one.receive(timeout=1)).type

    assert asyncio.run(main()) == 9


def test_a_kept_message_waits_for_a_receive_that_wants_it(pair, bind):
    third = bind()

    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            task = asyncio.create_task(one.receive())
            await blocked(one.endpoint)
            pair[1].send(one.id, Message(9))
            task.cancel()
            await asyncio.wait({task})
            with pytest.raises(drvs.WouldBlock):
                await one.receive(third.id, timeout=0)
            with pytest.raises(drvs.WouldBlock):
                await one.receive_request(timeout=0)
            return (await one.receive(pair[1].id)).type

    assert asyncio.run(main()) == 9


def test_no_message_is_lost_or_doubled_under_random_cancellations(pair):
    total = 300

    def send_all():
        for number in range(total):
            pair[1].send(pair[0].endpoint, Message(number), timeout=20)

    async def main():
        received = []
        sender = threading.Thread(target=send_all)
        async with AsyncEndpoint(pair[0]) as one:
            sender.start()
            for attempt in itertools.count():
                if len(received) == total:
                    break
                task = asyncio.create_task(one.receive())
                for _ in range(attempt % 5):
                    await asyncio.sleep(0)
                if attempt % 3:
                    task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    received.append((await task).type)
            await asyncio.to_thread(sender.join)
        return received

    assert asyncio.run(main()) == list(range(total))


def test_a_cancelled_call_drops_its_answer(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one, AsyncEndpoint(pair[1]) as two:
            task = asyncio.create_task(one.sendrec(two.id, Message(1)))
            request = await two.receive_request()
            await blocked(one.endpoint)
            task.cancel()
            await asyncio.wait({task})
            with pytest.raises(drvs.BadState):
                await two.reply(request, Message(2))
            task = asyncio.create_task(one.sendrec(two.id, Message(3)))
            request = await two.receive_request()
            await two.reply(request, Message(4))
            return request.type, (await task).type

    assert asyncio.run(main()) == (3, 4)


def test_tasks_that_share_an_endpoint_take_turns(pair):
    async def serve(ep, calls):
        request = await ep.receive_request()
        for _ in range(calls - 1):
            request = await ep.reply_receive(request, request)
        await ep.reply(request, request)

    async def main():
        async with AsyncEndpoint(pair[0]) as one, AsyncEndpoint(pair[1]) as two:
            serving = asyncio.create_task(serve(two, 20))
            answers = await asyncio.gather(*(one.sendrec(two.id, Message(number)) for number in range(20)))
            await serving
            return [answer.type for answer in answers]

    assert asyncio.run(main()) == list(range(20))


def test_the_wait_for_the_turn_counts_towards_the_timeout(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            task = asyncio.create_task(one.receive())
            await blocked(one.endpoint)
            with pytest.raises(drvs.TimedOut):
                await one.receive(timeout=0.01)
            with pytest.raises(drvs.WouldBlock):
                await one.receive(timeout=0)
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(main())


def test_requests_can_be_iterated_over(pair):
    async def serve(ep):
        async for request in ep.requests():
            await ep.reply(request, request)
            if request.type == 3:
                return

    async def main():
        async with AsyncEndpoint(pair[0]) as one, AsyncEndpoint(pair[1]) as two:
            serving = asyncio.create_task(serve(two))
            answers = [(await one.sendrec(two.id, Message(number))).type for number in range(4)]
            await serving
            return answers

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_calls_that_never_wait_leave_others_their_turn(pair):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        async with AsyncEndpoint(pair[0]) as one:
            for _ in range(100):
                pair[1].notify(one.id)
                await one.receive()
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) > 3


def test_a_copy_is_awaited(pair):
    async def main():
        async with AsyncEndpoint(pair[0]) as one:
            client = pair[1]
            source = bytearray(b"hello from the other side")
            block = client.block(source)
            asking = threading.Thread(
                target=client.sendrec, args=(one.id, Message(1, m1_p1=block.address, m1_i1=block.length))
            )
            asking.start()
            request = await one.receive_request()
            into = bytearray(request.m1_i1)
            assert await one.copy((request.source, request.m1_p1), into) == len(source)
            await one.reply(request, request)
            await asyncio.to_thread(asking.join)
            return bytes(into)

    assert asyncio.run(main()) == b"hello from the other side"


def test_unbinding_ends_the_call_of_another_task(pair):
    async def main():
        one = AsyncEndpoint(pair[0])
        task = asyncio.create_task(one.receive())
        await blocked(one.endpoint)
        await one.unbind()
        with pytest.raises((drvs.Interrupted, drvs.NotBound)):
            await task
        with pytest.raises(drvs.NotBound):
            await one.receive()
        await one.unbind()

    asyncio.run(main())


def test_unbinding_that_was_cancelled_can_be_done_again(pair):
    async def main():
        one = AsyncEndpoint(pair[0])
        for _ in range(20):
            task = asyncio.create_task(one.unbind())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        await asyncio.gather(one.unbind(), one.unbind())
        assert not one.endpoint.bound

    asyncio.run(main())


def test_a_loop_that_closes_under_a_call_leaves_no_thread(pair):
    one = None

    async def main():
        nonlocal one
        one = AsyncEndpoint(pair[0])
        task = asyncio.ensure_future(one.receive())
        await blocked(one.endpoint)
        del task

    asyncio.run(main())  # it cancels what is left

    async def again():
        async with one:
            pair[1].notify(one.id)
            return (await one.receive()).is_notify

    assert asyncio.run(again())


def test_a_loop_that_is_dropped_under_a_call_leaves_no_thread(pair):
    loop = asyncio.new_event_loop()

    async def begin():
        one = AsyncEndpoint(pair[0])
        task = asyncio.ensure_future(one.receive())
        await blocked(one.endpoint)
        return task

    task = loop.run_until_complete(begin())
    task._log_destroy_pending = False
    loop.close()
    coroutine = task.get_coro()
    del task
    coroutine.close()
    assert not pair[0].region.snapshot(pair[0].slot)["rts"]


def test_an_endpoint_that_is_dropped_takes_its_thread_along(pair):
    async def main():
        AsyncEndpoint(pair[0])

    asyncio.run(main())  # the fixture looks for the thread
