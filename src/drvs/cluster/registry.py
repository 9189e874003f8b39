"""The registry of a cluster in NATS: which nodes there are, where each is reached, and which of them live.

Two buckets of JetStream's key-value store:

    drvs-CLUSTER-nodes    settings         what all nodes must have in common; made by the first one
                          id.N             the name of node N: whoever creates the key has the number, for good
    drvs-CLUSTER-alive    N                who runs as node N now, and where; gone if not renewed within the lease

Numbers are handed out by compare-and-set: a node with a name that was seen before gets its old number. Who runs as a
node is one process: a newer one with the same name takes its key over, and the older finds out when it renews. The
store is no more than a meeting place: if it is lost, the nodes put themselves into the next one, and the links
between them go on meanwhile. A key that ends is not announced, so each node judges the others by its own clock.
"""

import asyncio
import os
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from drvs.base import limits

if TYPE_CHECKING:
    from drvs.cluster.transports.nats_connection import NatsConnection

SECONDS = limits.NATS_CALL_MS / 1000


class RegistryError(OSError):
    """The registry cannot be used, or refuses this node; the text says why and what to do."""


class Settings(msgspec.Struct, frozen=True):
    """What all nodes of the cluster have in common. `nodes`: how many there may be."""

    nodes: int = 32
    nr_procs: int = 2045
    nr_tasks: int = 67
    nr_sysprocs: int = 96


class Presence(msgspec.Struct, frozen=True):
    """A node that lives: its name, which run of its proxies this is, and its addresses, best first."""

    name: str
    incarnation: int
    addresses: tuple[str, ...]


class Joined(msgspec.Struct, frozen=True):
    """A node is there, or is reached elsewhere than before."""

    node: int
    presence: Presence


class Left(msgspec.Struct, frozen=True):
    """A node said goodbye, or has not been heard of for longer than its lease."""

    node: int
    expired: bool


class Displaced(msgspec.Struct, frozen=True):
    """Another process runs as this node now: this one has to end."""

    by: str


Event = Joined | Left | Displaced

_settings = msgspec.json.Decoder(Settings)
_presence = msgspec.json.Decoder(Presence)


class Registry:
    """One node's view of it, and its place in it. Its work is done on the connection's loop."""

    def __init__(self, connection: "NatsConnection", cluster: str, lease_s: float = limits.LEASE_MS / 1000) -> None:
        self._connection = connection
        self._cluster = cluster
        self._lease_s = lease_s
        self._bucket = "drvs-" + re.sub("[^A-Za-z0-9_-]", "_", cluster)
        self._events: deque[Event] = deque()
        self._lock = threading.Lock()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._known: dict[int, tuple[Presence, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._node = -1
        self._mine = b""
        self._revision = 0
        self._nodes: Any = None
        self._alive: Any = None
        self._wait(self._open())

    def _wait(self, work: Any) -> Any:
        try:
            return self._connection.call(work).result(SECONDS * 4)
        except RegistryError:
            raise
        except Exception as error:
            told = str(error) or type(error).__name__
            hint = "the server must run with JetStream (nats-server -js)"
            raise RegistryError(f"the registry of cluster {self._cluster!r} cannot be used: {told}; {hint}") from None

    async def _open(self) -> None:
        stream = self._connection.client.jetstream(timeout=SECONDS)
        self._nodes = await _bucket(stream, self._bucket + "-nodes", None)
        self._alive = await _bucket(stream, self._bucket + "-alive", self._lease_s)

    # ---- coming in -------------------------------------------------------------------------------------------------

    def settings(self, wanted: Settings | None = None) -> Settings:
        """Return the cluster's settings: `wanted`, where this node is the first.

        Raises:
            RegistryError: they cannot be read.
        """
        found: Settings = self._wait(self._agree(wanted or Settings()))
        return found

    async def _agree(self, wanted: Settings) -> Settings:
        value = await _create_or_read(self._nodes, "settings", msgspec.json.encode(wanted))
        return _settings.decode(value)

    def claim(self, name: str, node: int | None = None) -> int:
        """Return the number of the node with this name: its old one, or the lowest free one.

        Args:
            name: the node's.
            node: the number that it must have; None: any.

        Raises:
            RegistryError: that number, or every number, is another node's.
        """
        number: int = self._wait(self._claim(name, node))
        return number

    async def _claim(self, name: str, wanted: int | None) -> int:
        total = (await self._agree(Settings())).nodes
        owners = await self._owners()
        mine = next((number for number, owner in sorted(owners.items()) if owner == name), None)
        if wanted is None and mine is not None:
            return mine
        if wanted is not None and mine not in (None, wanted):
            raise RegistryError(f"node {name!r} of cluster {self._cluster!r} has the number {mine}, not {wanted}")
        for number in range(total) if wanted is None else [wanted]:
            if number not in owners:
                owner = (await _create_or_read(self._nodes, f"id.{number}", name.encode())).decode()
                owners[number] = owner
            if owners[number] == name:
                return number
        if wanted is not None:
            raise RegistryError(f"number {wanted} of cluster {self._cluster!r} is node {owners[wanted]!r}")
        raise RegistryError(f"all {total} numbers of cluster {self._cluster!r} are taken")

    async def _owners(self) -> dict[int, str]:
        from nats.js.errors import NoKeysError

        try:
            keys = await self._nodes.keys()
        except NoKeysError:
            return {}
        found = {}
        for key in keys:
            if re.fullmatch(r"id\.\d{1,4}", key):
                found[int(key[3:])] = (await self._nodes.get(key)).value.decode(errors="replace")
        return found

    # ---- being there -----------------------------------------------------------------------------------------------

    def join(self, node: int, presence: Presence) -> None:
        """Be there, until `leave`: the key is renewed, and the other nodes are watched.

        Raises:
            RegistryError: it cannot be written.
        """
        self._node, self._mine = node, msgspec.json.encode(presence)
        self._wait(self._enter())
        self._connection.on_reconnect(self._back)

    async def _enter(self) -> None:
        self._revision = await self._alive.put(str(self._node), self._mine)
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._watch())]

    async def _back(self) -> None:
        """The servers are back, perhaps with an empty store; a watch that was open before would stay silent."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        self._tasks = [asyncio.create_task(self._renew(at_once=True)), asyncio.create_task(self._watch())]

    async def _renew(self, *, at_once: bool = False) -> None:
        """Renew the lease three times in its length; after a return of the servers, first see whether all is there."""
        while True:
            await asyncio.sleep(0 if at_once else self._lease_s / 3)
            try:
                if at_once:
                    await self._restore()
                await self._renew_once()
                at_once = False
            except Exception:
                at_once = True  # not reached, or its store is not there yet: tried again
                await asyncio.sleep(limits.NATS_RETRY_MS / 1000)
            self._judge()

    async def _restore(self) -> None:
        await self._open()
        name = _presence.decode(self._mine).name
        await _create_or_read(self._nodes, f"id.{self._node}", name.encode())

    async def _renew_once(self) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        key = str(self._node)
        try:
            self._revision = await self._alive.update(key, self._mine, last=self._revision)
        except KeyWrongLastSequenceError:
            await self._find_out(key)

    async def _find_out(self, key: str) -> None:
        """The key is not as this node left it: it has ended, the store was lost, or somebody took it over."""
        from nats.js.errors import KeyDeletedError, KeyNotFoundError

        try:
            entry = await self._alive.get(key)
        except (KeyNotFoundError, KeyDeletedError):
            self._revision = await self._alive.create(key, self._mine)
            return
        if entry.value == self._mine:  # renewed, and the answer was lost
            self._revision = entry.revision
            return
        self._tell(Displaced(entry.value.decode(errors="replace")))

    def leave(self) -> None:
        """Say goodbye. The registry is of no use afterwards."""
        try:
            self._wait(self._exit())
        except RegistryError:
            pass  # the lease ends by itself
        os.close(self._fd)

    async def _exit(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        if self._node >= 0:
            await self._alive.delete(str(self._node), last=self._revision)

    # ---- the others ------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """A descriptor that is readable when `take` has something."""
        return self._fd

    def take(self) -> list[Event]:
        """Return what has happened."""
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return []
        with self._lock:
            found = list(self._events)
            self._events.clear()
        return found

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)
        os.eventfd_write(self._fd, 1)

    async def _watch(self) -> None:
        while True:
            try:
                watcher = await self._alive.watchall()
                async for entry in watcher:
                    if entry is not None:
                        self._learn(entry.key, entry.operation, entry.value)
            except asyncio.CancelledError:
                raise
            except Exception:
                pass
            await asyncio.sleep(limits.NATS_RETRY_MS / 1000)

    def _learn(self, key: str, operation: str | None, value: bytes | None) -> None:
        if not key.isascii() or not key.isdigit() or int(key) == self._node:
            return
        node = int(key)
        if operation in ("DEL", "PURGE"):
            if self._known.pop(node, None) is not None:
                self._tell(Left(node, expired=False))
            return
        try:
            presence = _presence.decode(value or b"")
        except msgspec.DecodeError:
            return
        before = self._known.get(node)
        self._known[node] = presence, time.monotonic()
        if before is None or before[0] != presence:
            self._tell(Joined(node, presence))

    def _judge(self) -> None:
        """Who has not renewed for longer than the lease is not there, by this node's own clock."""
        now = time.monotonic()
        for node, (_, seen) in list(self._known.items()):
            if now - seen > 1.5 * self._lease_s:
                del self._known[node]
                self._tell(Left(node, expired=True))


async def _bucket(stream: Any, name: str, ttl_s: float | None) -> Any:
    from nats.js.errors import BadRequestError, NotFoundError

    try:
        return await stream.key_value(name)
    except NotFoundError:
        pass
    try:
        return await stream.create_key_value(bucket=name, history=1, ttl=ttl_s)
    except BadRequestError:  # another node was faster, and made it with other settings
        return await stream.key_value(name)


async def _create_or_read(bucket: Any, key: str, value: bytes) -> bytes:
    """Create a key, or read what somebody has put there before."""
    from nats.js.errors import KeyWrongLastSequenceError

    try:
        await bucket.create(key, value)
    except KeyWrongLastSequenceError:
        return bytes((await bucket.get(key)).value)
    return value
