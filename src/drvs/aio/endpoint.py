"""AsyncEndpoint: an endpoint whose calls are awaited."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from drvs.aio.helper import Helper
from drvs.api.endpoint import Endpoint, Place, call_error
from drvs.base.clock import deadline_after, remaining
from drvs.base.codes import Code
from drvs.base.errors import DrvsError
from drvs.base.flags import Call
from drvs.base.ids import ANY, EndpointId
from drvs.base.limits import INLINE_CALLS, INTERRUPT_RETRY_MS
from drvs.core import Message

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from drvs.api.vm import VM

T = TypeVar("T")


class AsyncEndpoint:
    """An endpoint for asyncio programs: the calls of `Endpoint`, awaited, with the same results and exceptions.

    An endpoint makes one call at a time. Tasks that share one take turns in the order they came; a `timeout` includes
    the wait for the turn. So a task that waits in `receive` holds up one that wants to `sendrec`: give each its own
    endpoint.

    Cancelling a call interrupts it. A `receive` that had its message already keeps it for the next receive that it
    matches; the answer of a cancelled `sendrec` is dropped, and its request may have been carried out.

    Args:
        endpoint: a bound endpoint, which belongs to this object from now on (its unbinding too).
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._kept: deque[Message] = deque()
        self._turn = asyncio.Lock()
        self._helper = Helper(f"drvs-aio-{endpoint.endpoint}")
        self._inline = 0
        self._closed = self._ended = False
        weakref.finalize(self, self._helper.end)

    @property
    def id(self) -> EndpointId:
        """The endpoint's number, for others to send to."""
        return self.endpoint.id

    @property
    def name(self) -> str:
        """The name others can look it up by, empty if it has none."""
        return self.endpoint.name

    @property
    def vm(self) -> VM:
        """The VM it is bound in."""
        return self.endpoint.vm

    def __repr__(self) -> str:
        return f"<Async{repr(self.endpoint)[1:]}"

    # ---- receiving

    async def receive(self, src: int = ANY, timeout: float | None = None) -> Message:
        """Receive a message from `src`, or from anyone; wait for it without holding up the loop.

        Raises:
            TimedOut, WouldBlock: nothing came in `timeout` seconds; 0 never waits.
            SourceDied: `src` died.

        Canonical: mnx_receive, mnx_receive_T (guide 3.1.3)
        """
        return await self._receive(Call.RECEIVE, src, timeout)

    async def receive_request(self, timeout: float | None = None) -> Message:
        """Receive the next request (a `sendrec`) of anyone; plain messages and notifications stay where they are.

        Raises:
            TimedOut, WouldBlock: nothing came in `timeout` seconds; 0 never waits.

        Canonical: mnx_rcvrqst, mnx_rcvrqst_T (guide 3.1.3)
        """
        return await self._receive(Call.RCVRQST, ANY, timeout)

    async def _receive(self, op: Call, src: int, timeout: float | None) -> Message:
        async with self._its_turn(_WORDS[op], timeout) as left:
            kept = self._take_kept(op, src)
            if kept is not None:
                return kept
            message = Message()
            if await self._at_once(op, src, message, timeout):
                return message
            call: Callable[[], Message]
            if op == Call.RCVRQST:
                call = lambda: self.endpoint.receive_request(message, left())  # noqa: E731
            else:
                call = lambda: self.endpoint.receive(src, message, left())  # noqa: E731
            return await self._blocking(call, keep=self._kept.append)

    def _take_kept(self, op: Call, src: int) -> Message | None:
        """Return the oldest message that a cancelled receive left behind and this one wants."""
        for index, message in enumerate(self._kept):
            if message.is_request if op == Call.RCVRQST else src in (ANY, message.source):
                del self._kept[index]
                return message
        return None

    async def requests(self) -> AsyncIterator[Message]:
        """Iterate over requests as they come, for ever: ``async for request in ep.requests(): ...``."""
        while True:
            yield await self.receive_request()

    # ---- sending

    async def send(self, dst: int, msg: Message, timeout: float | None = None) -> None:
        """Send a message and wait until it has been received. Cancelled, it may have been.

        Raises:
            DestinationDied: `dst` died first.
            TimedOut, WouldBlock: it was not received in `timeout` seconds.

        Canonical: mnx_send, mnx_send_T (guide 3.1.2)
        """
        async with self._its_turn("send", timeout) as left:
            if not await self._at_once(Call.SEND, dst, msg, timeout):
                await self._blocking(lambda: self.endpoint.send(dst, msg, left()))

    async def sendrec(self, dst: int, msg: Message, timeout: float | None = None) -> Message:
        """Send a request and wait for its answer, which overwrites `msg`.

        Raises:
            DestinationDied, SourceDied: `dst` died before or after it took the request.
            TimedOut: no answer in `timeout` seconds; the request may have been carried out.

        Canonical: mnx_sendrec, mnx_sendrec_T (guide 3.1.4)
        """
        async with self._its_turn("sendrec", timeout) as left:
            return await self._blocking(lambda: self.endpoint.sendrec(dst, msg, left()))

    async def reply(self, to: int | Message, msg: Message, timeout: float | None = None) -> None:
        """Answer a request; never waits for a local client.

        Raises:
            BadState: the client no longer waits for this answer.

        Canonical: mnx_reply, mnx_reply_T (guide 3.1.2)
        """
        async with self._its_turn("reply", timeout) as left:
            self.endpoint.reply(to, msg, left())

    async def reply_receive(self, to: int | Message, msg: Message, timeout: float | None = None) -> Message:
        """Answer a request, then receive the next message of anyone, in one step of the core."""
        async with self._its_turn("reply_receive", timeout) as left:
            if self._kept:
                self.endpoint.reply(to, msg, left())
                return self._kept.popleft()
            return await self._blocking(lambda: self.endpoint.reply_receive(to, msg, left()), keep=self._keep_copy)

    def _keep_copy(self, message: Message) -> None:
        """Keep what arrived in a message that is the caller's own."""
        self._kept.append(message.copy())

    def notify(self, dst: int, value: int = 0) -> None:
        """Notify `dst`; never waits.

        Canonical: mnx_notify (guide 3.1.5)
        """
        self.endpoint.notify(dst, value)

    def relay(self, dst: int, request: Message) -> None:
        """Pass a request on to `dst`, who answers the client in this endpoint's place; never waits.

        Canonical: mnx_relay
        """
        self.endpoint.relay(dst, request)

    async def copy(self, source: Place | Buffer, destination: Place | Buffer, nbytes: int | None = None) -> int:
        """Copy bytes between two endpoints in the helper thread; see `Endpoint.copy`. Cancelled, it ends first.

        Canonical: mnx_vcopy (guide 3.1.6)
        """
        async with self._its_turn("copy", None):
            return await self._blocking(lambda: self.endpoint.copy(source, destination, nbytes))

    # ---- the end

    async def unbind(self) -> None:
        """End the call that is out (it raises Interrupted), the binding and the helper thread; once.

        Cancelled while another task's call is being ended, it can be called again.
        """
        self._closed = True
        await self._last_turn()
        try:
            if not self._ended:
                await self._end()
        finally:
            self._turn.release()

    async def _last_turn(self) -> None:
        """Take the turn, from a call that would go on for ever if need be."""
        while True:
            if self._turn.locked():
                self._interrupt()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERRUPT_RETRY_MS / 1000):
                    await self._turn.acquire()
                    return

    async def _end(self) -> None:
        try:
            await self._helper.run(self.endpoint.unbind, _nothing)
        finally:
            if not self.endpoint.bound:  # cancelled before it began, or refused: there is another time
                self._ended = True
                self._helper.end()
                self._helper.join()  # it has nothing left to do

    async def __aenter__(self) -> AsyncEndpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unbind()

    # ---- how

    @contextlib.asynccontextmanager
    async def _its_turn(self, operation: str, timeout: float | None) -> AsyncIterator[Callable[[], float | None]]:
        """Wait for this call's turn; gives a function that tells how much of `timeout` is left."""
        if timeout == 0:
            if self._turn.locked():
                raise call_error(Code.AGAIN, operation, self.endpoint)
            left: Callable[[], float | None] = _zero
        else:
            deadline = deadline_after(timeout)
            left = lambda: None if deadline is None else remaining(deadline) or _SHORTEST_S  # noqa: E731
        try:
            async with asyncio.timeout(timeout or None):
                await self._turn.acquire()
        except TimeoutError:
            raise call_error(Code.TIMEDOUT, operation, self.endpoint) from None
        try:
            if self._closed:
                raise call_error(Code.NOTBIND, operation, self.endpoint)
            yield left
        finally:
            self._turn.release()

    async def _at_once(self, op: Call, peer: int, message: Message, timeout: float | None) -> bool:
        """Try a call in the loop's thread without waiting: True if that did it, False if it has to wait."""
        self._inline += 1
        if self._inline % INLINE_CALLS == 0:
            await asyncio.sleep(0)  # or calls that never wait starve other tasks; not later: it may be cancelled here
        code = self.endpoint.raw(op, peer, message, 0)
        if code not in (Code.OK, Code.AGAIN) or (code == Code.AGAIN and timeout == 0):
            raise call_error(code, _WORDS[op], self.endpoint, peer)
        return code == Code.OK

    async def _blocking(self, call: Callable[[], T], keep: Callable[[T], object] | None = None) -> T:
        return await self._helper.run(call, self._interrupt, orphan=keep)

    def _interrupt(self) -> None:
        with contextlib.suppress(DrvsError):  # closed under us: its call has ended
            self.endpoint.interrupt()


_WORDS = {Call.SEND: "send", Call.RECEIVE: "receive", Call.RCVRQST: "receive_request"}


_SHORTEST_S = 1e-6  # 0 would mean: never wait


def _zero() -> float:
    return 0.0


def _nothing() -> None:
    """Unbinding is not interrupted."""
