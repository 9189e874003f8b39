"""tcp: a stream per peer, in TLS 1.3 with both ends' certificates unless both ends are on this machine.

Reading goes into the hub's buffer, and records are handed on from there; writing is one `sendmsg` of what waits. TLS
copies, as it must.
"""

import errno
import os
import select
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from drvs.base import limits
from drvs.cluster.session import Event, StreamConnection
from drvs.cluster.transports.address import Address, socket_address
from drvs.cluster.transports.carrier import Carrier, Hub, Transport
from drvs.cluster.transports.tls import Contexts, is_loopback

IN, OUT = select.EPOLLIN, select.EPOLLOUT

#: Bytes asked of a session at one time, and buffers given to one system call.
CHUNK_BYTES = 1 << 18
IOV_MAX = 512
#: The most that a record of TLS holds.
TLS_RECORD_BYTES = 1 << 14
#: Connections accepted at one time.
ACCEPTS = 16

#: What OpenSSL says of a certificate of another authority (X509_V_ERR_…: self signed, no issuer, no first certificate).
_NOT_OURS = frozenset({18, 19, 20, 21})

Buffer = bytes | bytearray | memoryview


class TcpCarrier(Carrier):
    """One socket: connecting, then perhaps in a TLS handshake, then flowing."""

    def __init__(
        self, hub: Hub, sock: socket.socket, connection: StreamConnection, address: str, tls: "TlsChoice"
    ) -> None:
        self.connection: StreamConnection = connection
        self.address = address
        settings = connection.exchange.settings
        self.soonest_s = min(settings.ack_s, settings.keepalive_s, settings.silence_s)
        self._hub, self._socket, self._tls = hub, sock, tls
        self._fd = sock.fileno()
        self._stage = self._connecting
        self._pending: Sequence[Buffer] = []
        self._mask = OUT if connection.dialled else IN
        self._closed = False
        connection.carrier = self
        if not connection.dialled:
            self._prepare()
        hub.watch(self._fd, self, self._mask)

    # ---- stages before the first frame ----

    def ready(self, mask: int, now: float) -> list[Event]:
        """Go on with what was waited for."""
        try:
            events = self._stage(mask, now)
        except (ssl.SSLError, OSError) as error:
            events = self.connection.broken(_reason(error), now)
        return events + self._hub.settle(self, now)

    def _connecting(self, mask: int, now: float) -> list[Event]:
        if failure := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(failure, os.strerror(failure))
        return self._begin(mask, now)

    def _begin(self, mask: int, now: float) -> list[Event]:
        """Be connected: go on in TLS, or without."""
        self._prepare()
        return self._stage(mask, now)

    def _prepare(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        dialled = self.connection.dialled
        context = self._tls.context(self._socket, dialled=dialled)
        self._stage = self._flow
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_side=not dialled, do_handshake_on_connect=False)
            self._stage = self._shake_hands

    def _shake_hands(self, mask: int, now: float) -> list[Event]:
        assert isinstance(self._socket, ssl.SSLSocket)
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(IN)
            return []
        except ssl.SSLWantWriteError:
            self._watch(OUT)
            return []
        self.connection.handshake.channel_certificate = self._socket.getpeercert(binary_form=True)
        self._stage = self._flow_tls
        return self._flow_tls(mask, now)

    # ---- frames ----

    def _flow(self, mask: int, now: float) -> list[Event]:
        if not mask & ~OUT:
            return []  # settling will send
        connection, buffer = self.connection, self._hub.buffer
        held = len(connection.partial)
        if held:
            buffer[:held] = connection.partial
        most = len(buffer) if connection.open else held + connection.exchange.settings.hello_bytes
        try:
            got = self._socket.recv_into(buffer[held:most])
        except BlockingIOError:
            return []
        if not got:
            raise OSError(errno.ECONNRESET, "the other end closed the connection")
        connection.partial = b""
        return connection.receive(buffer[: held + got], now)

    def _flow_tls(self, mask: int, now: float) -> list[Event]:
        """Read whole records of TLS: OpenSSL holds nothing back then, which epoll would not see."""
        assert isinstance(self._socket, ssl.SSLSocket)
        connection, buffer = self.connection, self._hub.buffer
        held = len(connection.partial)
        buffer[:held] = connection.partial
        end, most = held, len(buffer) if connection.open else held + TLS_RECORD_BYTES
        got = TLS_RECORD_BYTES
        try:
            # After a shorter record there is rarely more; if there is, epoll says so.
            while got == TLS_RECORD_BYTES and end + TLS_RECORD_BYTES <= most:
                got = self._socket.recv_into(buffer[end : end + TLS_RECORD_BYTES])
                end += got
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        connection.partial = b""
        events = connection.receive(buffer[:end], now)
        if not got:
            events += connection.broken("the other end closed the connection", now)
        return events

    @property
    def _flowing(self) -> bool:
        return self._stage in (self._flow, self._flow_tls)

    def flush(self, now: float) -> list[Event]:
        """Send what is there to be sent."""
        if self._closed or not self._flowing:
            return []
        try:
            self._send_all(now)
        except (ssl.SSLError, OSError) as error:
            self._pending = []
            return self.connection.broken(_reason(error), now)
        return []

    def _send_all(self, now: float) -> None:
        while True:
            if not self._pending:
                self._pending = self.connection.output(CHUNK_BYTES, now)
                if not self._pending:
                    break
            try:
                sent, offered = self._send(self._pending)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                sent, offered = 0, 1
            self._pending = _rest(self._pending, sent)
            if not self._pending and not self.connection.wants_output:
                break
            if sent < offered:
                self._watch(IN | OUT)
                return
        self._watch(IN)

    def _send(self, buffers: Sequence[Buffer]) -> tuple[int, int]:
        """Send the first of `buffers`: how many bytes went, and how many could have."""
        if isinstance(self._socket, ssl.SSLSocket):
            if len(buffers) > 1 and len(buffers[0]) < TLS_RECORD_BYTES:
                self._pending = buffers = _in_records(buffers)
            return self._socket.send(buffers[0]), len(buffers[0])
        buffers = buffers[:IOV_MAX]
        return self._socket.sendmsg(buffers), sum(map(len, buffers))

    def _watch(self, mask: int) -> None:
        if mask != self._mask and not self._closed:
            self._mask = mask
            self._hub.watch(self._fd, self, mask)

    @property
    def wants_flush(self) -> bool:
        """Whether `flush` might have something to send."""
        return bool(self._pending) or self.connection.wants_output

    def close(self) -> None:
        """Close the socket."""
        if not self._closed:
            self._closed = True
            self._hub.unwatch(self._fd)
            self._socket.close()


def _rest(buffers: Sequence[Buffer], sent: int) -> list[Buffer]:
    """Return what remains of `buffers` after `sent` bytes."""
    for index, buffer in enumerate(buffers):
        size = len(buffer)
        if sent < size:
            return [memoryview(buffer)[sent:] if sent else buffer, *buffers[index + 1 :]]
        sent -= size
    return []


def _in_records(buffers: Sequence[Buffer]) -> list[Buffer]:
    """Join buffers, where they are short, so that few records of TLS are made of them; long ones are not copied."""
    if sum(map(len, buffers)) <= TLS_RECORD_BYTES:
        return [b"".join(buffers)]
    joined, rest = bytearray(), list(buffers)
    while rest and len(joined) < TLS_RECORD_BYTES:
        space = TLS_RECORD_BYTES - len(joined)
        joined += memoryview(rest[0])[:space]
        rest[:1] = [memoryview(rest[0])[space:]] if len(rest[0]) > space else []
    return [bytes(joined), *rest]


def _reason(error: OSError) -> str:
    """Say in words for people why a connection failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        foreign = error.verify_code in _NOT_OURS
        why = "it was not issued by this cluster's authority" if foreign else error.verify_message
        return f"the other end's certificate: {why}"
    if isinstance(error, ssl.SSLError):
        words = (error.reason or str(error)).lower().replace("_", " ")
        before, alert, said = words.partition("alert ")
        return f"the other end refused TLS: {said}" if alert else f"TLS: {before}"
    return error.strerror or str(error)


class TlsChoice:
    """Says which connections are in TLS: `always`, or those that leave the machine; none without credentials."""

    def __init__(self, contexts: Contexts | None, *, always: bool) -> None:
        self._contexts, self._always = contexts, always

    def context(self, sock: socket.socket, *, dialled: bool) -> ssl.SSLContext | None:
        """Return the context for a connected socket, or None for a plain one."""
        if self._contexts is None or (not self._always and is_loopback(sock)):
            return None
        return self._contexts.dialling if dialled else self._contexts.listening


class Listener:
    """A socket that accepts."""

    def __init__(self, hub: Hub, sock: socket.socket, tls: TlsChoice) -> None:
        self._hub, self._socket, self._tls = hub, sock, tls
        hub.watch(sock.fileno(), self, IN)

    def ready(self, mask: int, now: float) -> list[Event]:
        """Accept some."""
        for _ in range(ACCEPTS):
            try:
                sock, address = self._socket.accept()
            except OSError:
                break  # nobody there, gone again, or no descriptor left: the next one will show
            self._accept(sock, _name(address), now)
        return []

    def _accept(self, sock: socket.socket, address: str, now: float) -> None:
        sock.setblocking(False)
        connection = StreamConnection(self._hub.exchange, now, dialled=False)
        try:
            carrier = TcpCarrier(self._hub, sock, connection, address, self._tls)
        except OSError:
            sock.close()  # gone again
        else:
            self._hub.accepted(carrier)

    def close(self) -> None:
        """Accept no more."""
        self._hub.unwatch(self._socket.fileno())
        self._socket.close()


def _name(address: Any) -> str:
    return str(Address("tcp", str(address[0]), int(address[1])))


class Tcp(Transport):
    """The transport. `always_tls` wants TLS between two ends of one machine too."""

    scheme = "tcp"

    def __init__(self, contexts: Contexts | None = None, *, always_tls: bool = False) -> None:
        self._tls = TlsChoice(contexts, always=always_tls)
        self._listeners: list[Listener] = []

    def listen(self, hub: Hub, address: Address) -> Address:
        """Listen on a socket; port 0 takes a free one."""
        family, where = socket_address(address, socket.SOCK_STREAM)
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
            sock.listen(limits.LISTEN_BACKLOG)
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from None
        self._listeners.append(Listener(hub, sock, self._tls))
        return Address("tcp", address.host, sock.getsockname()[1])

    def dial(self, hub: Hub, address: Address, node: int, now: float) -> TcpCarrier:
        """Connect, without waiting for it."""
        family, where = socket_address(address, socket.SOCK_STREAM)
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        if (failure := sock.connect_ex(where)) not in (0, errno.EINPROGRESS):
            sock.close()
            raise OSError(failure, os.strerror(failure))
        connection = StreamConnection(hub.exchange, now, dialled=True, expect=node)
        return TcpCarrier(hub, sock, connection, str(address), self._tls)

    def close(self, hub: Hub) -> None:
        """Stop listening."""
        while self._listeners:
            self._listeners.pop().close()
