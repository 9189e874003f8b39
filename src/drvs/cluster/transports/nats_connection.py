"""The one connection of a node to NATS: a thread with an event loop of its own, for everything that is said through
NATS.

The client library is asyncio's, and the loop that drives links is not. So it runs in a thread; what arrives is put
into a bounded queue beside an eventfd that the loop of the links waits on, and what leaves goes the other way. The
registry runs its coroutines here too (`call`), on the same connection.

While the servers cannot be reached, nothing is kept for them: a write that came out long after it was given up would
be worse than one that fails. Sessions send again what was lost.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from drvs.base import limits

if TYPE_CHECKING:
    from nats.aio.client import Client

Result = TypeVar("Result")


class Inbox:
    """What has arrived on a subject: (data, where to answer). The thread fills it, the loop of the links empties it."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.dropped = 0
        self._queue: deque[tuple[bytes, str]] = deque()

    def put(self, data: bytes, reply: str) -> None:
        """Add a message; too many drop the newest."""
        if len(self._queue) >= limits.NATS_QUEUE:
            self.dropped += 1
            return
        self._queue.append((data, reply))
        if len(self._queue) == 1:
            os.eventfd_write(self.fd, 1)

    def __len__(self) -> int:
        return len(self._queue)

    def take(self) -> tuple[bytes, str] | None:
        """Return the next message, or None."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def quiet(self) -> None:
        """Make the descriptor unreadable; what is put after this makes it readable again."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass

    def rouse(self) -> None:
        """Make the descriptor readable, for what `take` has left."""
        os.eventfd_write(self.fd, 1)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)


class NatsConnection:
    """The connection; made and closed by whoever makes the node's links.

    Args:
        servers: nats://HOST:PORT, one or more of a cluster.
        name: What the server shows it as.
        options: For `nats.connect`: user_credentials, token, tls and so on.

    Raises:
        RuntimeError: The package nats-py is missing.
        OSError: No server could be reached, or none let this node in.
    """

    def __init__(self, servers: Sequence[str], name: str, **options: Any) -> None:
        try:
            import nats
        except ImportError:
            raise RuntimeError("NATS needs the package nats-py: pip install 'drvs[nats]'") from None
        self.servers = list(servers)
        self.client: Client
        self._connect = nats.connect
        self._options: dict[str, Any] = {
            "servers": self.servers,
            "name": name,
            "allow_reconnect": True,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": limits.NATS_RETRY_MS / 1000,
            "connect_timeout": limits.NATS_CONNECT_MS / 1000,
            "pending_size": 0,
            "error_cb": _ignore,
            **options,
        }
        self._reconnected: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._outbox: deque[tuple[str, bytes, str]] = deque()
        self._wake = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="drvs-nats", daemon=True)
        self._thread.start()
        try:
            self.call(self._open()).result()
        except Exception as error:
            self._stop()
            told = str(error) or type(error).__name__
            raise OSError(f"cannot reach NATS at {', '.join(self.servers)}: {told.removeprefix('nats: ')}") from None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)  # those of the client library, and of the registry
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _open(self) -> None:
        limit = float(self._options["connect_timeout"]) + 1
        self.client = await asyncio.wait_for(self._connect(**self._options, reconnected_cb=self._back), limit)
        self._pump = self._loop.create_task(self._publish_all())

    async def _back(self) -> None:
        for callback in self._reconnected:
            await callback()

    async def _publish_all(self) -> None:
        """Publish what is put into the outbox; what cannot be now is lost, and the sessions see to that."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                subject, data, reply = self._outbox.popleft()
                try:
                    await self.client.publish(subject, data, reply)
                except Exception:
                    pass

    # ---- for the loop of the links ----

    @property
    def connected(self) -> bool:
        """Whether a server is reached now."""
        return bool(self.client.is_connected)

    def publish(self, subject: str, data: bytes, reply: str) -> bool:
        """Send a message without waiting; False if too many wait already."""
        if len(self._outbox) >= limits.NATS_QUEUE:
            return False
        self._outbox.append((subject, data, reply))
        if len(self._outbox) == 1:
            self._loop.call_soon_threadsafe(self._wake.set)
        return True

    def subscribe(self, subject: str, inbox: Inbox) -> None:
        """Put what arrives on a subject into `inbox`, until the connection is closed.

        Raises:
            OSError: The server does not allow it.
        """

        async def arrived(message: Any) -> None:
            inbox.put(message.data, message.reply)

        async def subscribe() -> None:
            await self.client.subscribe(subject, cb=arrived)
            await self.client.flush()

        try:
            self.call(subscribe()).result(limits.NATS_CONNECT_MS / 1000)
        except Exception as error:
            raise OSError(f"NATS: cannot listen on {subject}: {error or type(error).__name__}") from None

    # ---- for the registry ----

    def call(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Run a coroutine on the connection's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def on_reconnect(self, callback: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await `callback()` whenever the connection has come back: watches have to be begun again then."""
        self._reconnected.append(callback)

    # ---- the end ----

    def close(self) -> None:
        """Say what is left to say, and end the thread."""
        if not self._thread.is_alive():
            return
        try:
            self.call(self._shut()).result(limits.NATS_CONNECT_MS / 1000)
        except Exception:
            pass
        self._stop()

    async def _shut(self) -> None:
        while self._outbox and self.client.is_connected:
            await self.client.publish(*self._outbox.popleft())
        self._pump.cancel()
        if self.client.is_connected:
            await self.client.flush()
        await self.client.close()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


async def _ignore(error: Exception) -> None:
    """Keep the client library from printing: connections say in `drvs status` what became of them."""
