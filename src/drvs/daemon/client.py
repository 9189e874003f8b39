"""The client of noded: what every program that manages a node, or binds, talks through.

A Client keeps idle connections and takes one per call, so threads do not wait for each other. After a fork the child
opens its own, because noded knows a caller by the process that connected. When noded is restarted, calls that may be
repeated are.
"""

import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from drvs.base import limits, paths
from drvs.base.codes import Code
from drvs.base.errors import DaemonGone, DrvsError, make_error
from drvs.daemon import packets
from drvs.daemon.protocol import IDEMPOTENT, VERSION

_YEAR_MS = 366 * 86_400_000  # a socket's timeout has to fit into a time_t


_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


class _Unsent(Exception):
    """The connection had ended before the request went out: noded has not seen it."""


def _who_am_i() -> tuple[int, int]:
    return os.getpid(), os.geteuid()


class Reply:
    """An answer of noded: `code`, `error`, the other fields by name or subscript, and the descriptors in `fds`.

    Descriptors are closed with `close`, or taken out with `take_fd`.
    """

    __slots__ = ("code", "error", "fds", "fields")

    def __init__(self, fields: dict[str, Any], fds: list[int]) -> None:
        self.code: int = fields.pop("code")
        self.error: str | None = fields.pop("error", None)
        fields.pop("v", None)
        self.fields = fields
        self.fds = fds

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "fields":
            raise AttributeError(name)
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(f"the answer has no field {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __repr__(self) -> str:
        return f"<Reply {Code.of(self.code).canonical} {self.fields} fds={self.fds}>"

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or `default` if the answer does not have it."""
        return self.fields.get(name, default)

    def take_fd(self) -> int:
        """Return the first descriptor; closing it is the caller's from now on."""
        return self.fds.pop(0)

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        while self.fds:
            os.close(self.fds.pop())

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class Client:
    """A connection pool to the noded of one runtime directory. Connects at the first call.

    Args:
        runtime_dir: where the node lives; None finds it as base.paths says.
    """

    def __init__(self, runtime_dir: str | os.PathLike[str] | None = None) -> None:
        self.runtime_dir = paths.find_runtime_dir(runtime_dir)
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._who = _who_am_i()
        self._known = False  # noded answered before: its absence may be a restart
        _clients.add(self)

    def __repr__(self) -> str:
        return f"Client({self.runtime_dir!r})"

    def call(self, op: str, timeout: float | None = None, *, check: bool = True, **fields: Any) -> Reply:
        """Make one management call and wait for its answer.

        Args:
            op: its name, see `drvs.daemon.protocol`.
            timeout: seconds to wait for noded's answer; None: `timeout_ms` of the call, and limits.CALL_MS beyond it.
            check: False returns an answer with an error code instead of raising.
            fields: the fields of the request.
        Returns:
            the answer.
        Raises:
            DrvsError: by the answer's code; DaemonGone if there is no noded; TimedOut if it does not answer.
        """
        limit = _answer_limit(fields, timeout)
        request = packets.encode({"v": VERSION, "op": op, **fields})
        if len(request) > limits.PACKET_BYTES:
            raise make_error(Code.TOOBIG, op, detail="the request is bigger than a packet of the control socket")
        reply = self._exchange(op, request, limit)
        if check and reply.code < 0:
            reply.close()
            raise reply_error(reply, op, fields)
        return reply

    def close(self) -> None:
        """Close all idle connections; the next call opens a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for sock in idle:
            sock.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- one exchange ------------------------------------------------------------------------------------------

    def _exchange(self, op: str, request: bytes, limit: float | None) -> Reply:
        """Ask until there is an answer. CONNECT_TRIES tries while noded restarts, one before it ever answered."""
        tries = limits.CONNECT_TRIES if self._known else 1
        while True:
            sock = self._take(op, tries)
            try:
                reply = self._ask(sock, request, limit, op)
            except _Unsent:
                continue  # a connection to noded's predecessor: the pool is finite
            except ConnectionError:
                tries -= 1
                if op not in IDEMPOTENT or tries <= 0:
                    raise self._gone(op, "noded went away during the call") from None
                continue
            self._give_back(sock)
            self._known = True
            return reply

    def _ask(self, sock: socket.socket, request: bytes, limit: float | None, op: str) -> Reply:
        """Send and wait. An interruption (a signal handler's exception) closes the connection: an answer may come."""
        try:
            sock.settimeout(limit)
            _send(sock, request)
            return Reply(*packets.receive_answer(sock))
        except TimeoutError:
            sock.close()
            raise make_error(Code.TIMEDOUT, op, detail=f"noded did not answer within {limit:g} s") from None
        except BaseException:
            sock.close()
            raise

    # ---- connections -------------------------------------------------------------------------------------------

    def _take(self, op: str, tries: int) -> socket.socket:
        """An idle connection, or a new one."""
        if self._who != _who_am_i():
            self._forget_others()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        for attempt in range(1, limits.CONNECT_TRIES + 1):
            try:
                return self._connect()
            except PermissionError:
                raise make_error(Code.PERM, op, detail=f"the socket in {self.runtime_dir} may not be opened") from None
            except (ConnectionError, FileNotFoundError, NotADirectoryError, BlockingIOError) as error:
                # EAGAIN: noded lives, and more callers are at its door than it has let in
                if attempt >= tries and not isinstance(error, BlockingIOError):
                    raise self._gone(op, _reason(error)) from None
            time.sleep(limits.CONNECT_WAIT_MS / 1000)
        raise self._gone(op, "it lets nobody in")

    def _forget_others(self) -> None:
        """After a fork or a change of user: noded knows a caller by who connected. The parent's connections go on."""
        self._lock = threading.Lock()
        idle, self._idle, self._who = self._idle, [], _who_am_i()
        for sock in idle:
            sock.close()

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(limits.CALL_MS / 1000)
            sock.connect(os.path.join(self.runtime_dir, paths.SOCKET))
        except BaseException:
            sock.close()
            raise
        return sock

    def _give_back(self, sock: socket.socket) -> None:
        with self._lock:
            if self._who == _who_am_i() and len(self._idle) < limits.IDLE_CONNECTIONS:
                self._idle.append(sock)
                return
        sock.close()

    def _gone(self, op: str, reason: str) -> DaemonGone:
        detail = f"no noded answers in {self.runtime_dir} ({reason})"
        return DaemonGone(Code.DRVSINIT, op, detail=detail)


def hang_up() -> None:
    """Close the idle connections of all clients, but of those that somebody (this very thread, maybe) is using."""
    for client in list(_clients):
        if client._lock.acquire(blocking=False):
            idle, client._idle = client._idle, []
            client._lock.release()
            for sock in idle:
                sock.close()


def _send(sock: socket.socket, request: bytes) -> None:
    try:
        sock.sendmsg((request,), (), socket.MSG_NOSIGNAL)
    except ConnectionError:
        # noded may have said why before it closed (too many connections): then that is the answer.
        if not sock.recv(1, socket.MSG_PEEK):
            raise _Unsent from None


def _answer_limit(fields: dict[str, Any], timeout: float | None) -> float | None:
    if timeout is not None:
        return timeout
    own = fields.get("timeout_ms", 0)
    return None if own < 0 or own > _YEAR_MS else (own + limits.CALL_MS) / 1000


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no socket"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens on its socket"
    return str(error) or type(error).__name__


def reply_error(reply: Reply, op: str, fields: dict[str, Any]) -> DrvsError:
    """Return the exception for an answer with an error code."""
    vm, node, peer = (fields.get(name) for name in ("vmid", "node", "endpoint"))
    return make_error(reply.code, op, detail=reply.error, vm=vm, node=node, peer=peer)
