"""The control socket: connections, one request at a time each, judged, executed, answered.

Nobody here is trusted: packets may be any bytes of any size, descriptors are never accepted, a reader may be slow
(its next request is not read before it has taken the answer), and connections are counted per user.
"""

import os
import select
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from drvs.base import features, limits, paths
from drvs.base.codes import Code
from drvs.base.flags import DebugMask
from drvs.daemon import credentials, packets
from drvs.daemon.bindings import Process
from drvs.daemon.calls import HANDLERS, Handler, Rights
from drvs.daemon.loop import HANGUP, READ, WRITE
from drvs.daemon.protocol import decode_request
from drvs.daemon.refusal import Refused
from drvs.daemon.waits import Pending

if TYPE_CHECKING:
    from drvs.daemon.node import Node

_buffer = bytearray(limits.PACKET_BYTES)


class Connection:
    """One client. Which process it is was settled when it connected."""

    __slots__ = ("_node", "_outbox", "_pending", "_server", "_sock", "_start", "peer")

    def __init__(self, server: "Server", node: "Node", sock: socket.socket) -> None:
        self._server = server
        self._node = node
        self._sock = sock
        self._pending: Pending | None = None
        self._outbox: tuple[bytes, list[int]] | None = None
        self.peer = credentials.peer_of(sock)
        self._start = -1 if features.has("peerpidfd") else credentials.start_of(self.peer.pid)
        node.loop.watch(sock.fileno(), self._ready)

    # ---- who it is -----------------------------------------------------------------------------------------------

    @property
    def start(self) -> int | None:
        """The start time of the process that connected; None if it has ended since (its socket was inherited)."""
        if self._start == -1:
            self._start = self._find_start()
        return self._start

    def _find_start(self) -> int | None:
        """Read it while a pidfd proves that the pid still is the one that connected."""
        pidfd = credentials.peer_pidfd(self._sock)
        if pidfd is None:
            return None
        try:
            start = credentials.start_of(self.peer.pid)
            return start if _alive(pidfd) else None
        finally:
            os.close(pidfd)

    @property
    def process(self) -> Process | None:
        """The caller's bindings; None if it has none."""
        process = self._node.book.processes.get(self.peer.pid)
        return process if process is not None and process.start == self.start else None

    @property
    def is_root(self) -> bool:
        """Whether it may manage the node: euid 0, or the user who owns the node."""
        return self.peer.uid in (0, self._node.owner)

    # ---- requests ------------------------------------------------------------------------------------------------

    def _ready(self, _fd: int, events: int) -> None:
        if self._outbox is not None and events & WRITE:
            self._flush()
        elif events & READ and self._pending is None and self._outbox is None:
            self._read()
        elif events & ~(READ | WRITE):
            self.close()

    def _read(self) -> None:
        try:
            # No room for ancillary data: Linux drops descriptors that a client sends. MSG_TRUNC: the true length.
            length = self._sock.recv_into(_buffer, 0, socket.MSG_DONTWAIT | socket.MSG_TRUNC)
        except BlockingIOError:
            return
        except OSError:
            length = 0
        if length == 0:
            self.close()
        elif length > len(_buffer):
            self.refuse(Code.INVAL, f"a packet has at most {len(_buffer)} bytes, this one had {length}")
        else:
            self._serve(memoryview(_buffer)[:length])

    def _serve(self, packet: memoryview) -> None:
        try:
            request = decode_request(packet)
            handler = HANDLERS[type(request)]
            self._admit(handler)
            self._node.log.debug(DebugMask.PARAMS, f"process {self.peer.pid}: {request}")
            answer = handler.run(self._node, self, request)
        except Refused as refused:
            self.refuse(refused.code, refused.detail)
        except Exception as error:
            self._node.log.failure(error)
            self.refuse(Code.GENERIC, "noded has a fault of its own, its log says which")
        else:
            if answer is not None:
                self.answer(*answer)
            else:
                self._node.log.debug(DebugMask.PROCSEM, f"process {self.peer.pid} waits")

    def _admit(self, handler: Handler) -> None:
        """Judge the caller: rights, then the node's state, then its privileges.

        Raises:
            Refused: PERM, DRVSINIT or TRAPDENIED.
        """
        if handler.rights is not Rights.ANYONE and not self.is_root:
            member = handler.rights is Rights.MEMBER
            if not member or self.process is None:
                who = f"root, user {self._node.owner} (who owns the node)" + (" and bound processes" if member else "")
                raise Refused(Code.PERM, f"user {self.peer.uid} may not do this, only {who}")
        if handler.initialised and self._node.limits is None:
            raise Refused(Code.DRVSINIT, f"the node in {self._node.runtime_dir} is not initialised")
        if handler.call is not None and self._node.book.processes:
            self._check_privileges(handler)

    def _check_privileges(self, handler: Handler) -> None:
        process = self.process if self.peer.pid in self._node.book.processes else None
        if process is None or not process.restricted or handler.call is None:
            return
        for binding in process.bindings.values():
            if not binding.calls >> handler.call & 1:
                raise Refused(Code.TRAPDENIED, f"s_call_mask of endpoint {binding.endpoint} lacks {handler.call.name}")

    # ---- answers -------------------------------------------------------------------------------------------------

    def answer(self, fields: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Answer the present request."""
        self._send(packets.encode_answer(0, None, fields), fds)

    def refuse(self, code: int, detail: str | None) -> None:
        """Answer it with an error."""
        self._node.log.debug(DebugMask.CMD, f"process {self.peer.pid}: {Code.of(code).canonical}: {detail}")
        self._send(packets.encode_answer(code, detail, {}), ())

    def hold(self, pending: Pending) -> None:
        """The answer comes later; until then only a hang-up is of interest."""
        self._pending = pending
        self._node.loop.change(self._sock.fileno(), HANGUP)

    def _send(self, body: bytes, fds: Sequence[int]) -> None:
        if self._sock.fileno() < 0:
            return
        was_pending, self._pending = self._pending, None
        try:
            if packets.send_answer(self._sock, body, fds):
                if was_pending is not None:
                    self._node.loop.change(self._sock.fileno(), READ)
                return
        except OSError:
            self.close()
            return
        self._outbox = (body, [os.dup(fd) for fd in fds])
        self._node.loop.change(self._sock.fileno(), WRITE | HANGUP)

    def _flush(self) -> None:
        assert self._outbox is not None
        body, fds = self._outbox
        try:
            if not packets.send_answer(self._sock, body, fds):
                return
        except OSError:
            self.close()
            return
        self._drop_outbox()
        self._node.loop.change(self._sock.fileno(), READ)

    def _drop_outbox(self) -> None:
        if self._outbox is not None:
            for fd in self._outbox[1]:
                os.close(fd)
            self._outbox = None

    def close(self) -> None:
        """End the connection; what it waited for is cancelled."""
        if self._sock.fileno() < 0:
            return
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
        self._drop_outbox()
        self._node.loop.forget(self._sock.fileno())
        self._sock.close()
        self._server.closed(self)


class Server:
    """The listening socket and its connections."""

    def __init__(self, node: "Node", listener: socket.socket) -> None:
        self._node = node
        self._listener = listener
        self._connections: set[Connection] = set()
        self._per_uid: dict[int, int] = {}
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        node.loop.watch(listener.fileno(), self._accept)

    def __len__(self) -> int:
        return len(self._connections)

    def _accept(self, _fd: int, _events: int) -> None:
        for _ in range(64):  # then the others get their turn
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                self._turn_one_away()
                return
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        uid = credentials.peer_of(sock).uid
        trusted = uid in (0, self._node.owner)
        mine = self._per_uid.get(uid, 0)
        if self._is_full(trusted, mine):
            self._say_full(sock, uid, mine)
            return
        self._per_uid[uid] = mine + 1
        self._connections.add(Connection(self, self._node, sock))

    def _is_full(self, trusted: bool, mine: int) -> bool:
        """Strangers leave some places to root and the owner; noded keeps descriptors for its own work."""
        if len(self._node.loop) + limits.FD_OWN >= self._node.fd_limit:
            return True
        if trusted:
            return len(self._connections) >= limits.CLIENTS
        return len(self._connections) >= limits.CLIENTS - limits.FD_OWN or mine >= limits.CLIENTS_PER_UID

    def _say_full(self, sock: socket.socket, uid: int, mine: int) -> None:
        text = f"noded has {len(self._connections)} connections, {mine} of user {uid}: close some"
        with sock:
            try:
                packets.send_answer(sock, packets.encode_answer(Code.BUSY, text, {}))
            except OSError:
                pass

    def _turn_one_away(self) -> None:
        """Out of descriptors: take one client off the queue with the spare one, or epoll would report it for ever."""
        os.close(self._spare)
        try:
            sock, _ = self._listener.accept()
            sock.close()
        except OSError:
            pass
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        uid = connection.peer.uid
        self._per_uid[uid] -= 1
        if not self._per_uid[uid]:
            del self._per_uid[uid]

    def close(self) -> None:
        """Let nobody in any more, and everybody go."""
        self._node.loop.forget(self._listener.fileno())
        self._listener.close()
        for connection in list(self._connections):
            connection.close()
        os.close(self._spare)


def listen(runtime_dir: str) -> socket.socket:
    """Make the control socket; the caller holds the node's lock, so an old one is stale.

    Raises:
        OSError: it cannot be made.
    """
    path = os.path.join(runtime_dir, paths.SOCKET)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(limits.LISTEN_BACKLOG)
    return listener


def _alive(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)
