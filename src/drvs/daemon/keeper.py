"""The keeper: a tiny process that holds noded's descriptors while noded is dead.

It understands four requests, one packet each, from a process of its own user, and looks at nothing it holds:

    put NAME   (with a descriptor)     hold it, instead of an older one of that name
    drop NAME                          let it go
    list                               send each as `NAME` with its descriptor, then `.`
    quit                               end

It is forked from noded before noded has opened anything, and becomes a session of its own.
"""

import array
import contextlib
import os
import signal
import socket
import sys

from drvs.base import limits, paths
from drvs.daemon.credentials import peer_of

PACKET = 256
#: Two for each VM, one for each proxy pair, the bind table and the ledger.
HOLD_MAX = 2 * limits.MAX_VMS + limits.MAX_PAIRS + 8


class Keeper:
    """What the keeper does with one packet at a time."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.held: dict[str, int] = {}

    def run(self) -> None:
        """Serve one connection after the other until `quit`."""
        while True:
            conn, _ = self.listener.accept()
            with conn:
                if peer_of(conn).uid == os.geteuid() and not self._serve(conn):
                    return

    def _serve(self, conn: socket.socket) -> bool:
        """Answer until the connection ends; False: the keeper is to end."""
        while True:
            try:
                packet, fds = _receive(conn)
                if not packet:
                    return True
                verb, _, name = packet.decode(errors="replace").partition(" ")
                if verb == "quit":
                    conn.send(b"ok")
                    return False
                self._obey(conn, verb, name, fds)
            except OSError:
                return True

    def _obey(self, conn: socket.socket, verb: str, name: str, fds: list[int]) -> None:
        if verb == "list":
            for held, fd in self.held.items():
                send_fd(conn, held, fd)
            conn.send(b".")
            return
        self._let_go(name) if verb in ("put", "drop") else None
        accepted = verb == "drop" or (verb == "put" and len(fds) == 1 and len(self.held) < HOLD_MAX)
        if accepted and fds:
            self.held[name] = fds.pop()
        for fd in fds:
            os.close(fd)
        conn.send(b"ok" if accepted else b"refused")

    def _let_go(self, name: str) -> None:
        fd = self.held.pop(name, None)
        if fd is not None:
            os.close(fd)


def send_fd(conn: socket.socket, text: str, fd: int | None = None) -> None:
    """Send one packet, with a descriptor if there is one."""
    rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    conn.sendmsg((text.encode(),), rights, socket.MSG_NOSIGNAL)


def _receive(conn: socket.socket) -> tuple[bytes, list[int]]:
    packet, ancillary, _, _ = conn.recvmsg(PACKET, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data)
    return packet, list(fds)


def receive_fd(conn: socket.socket) -> tuple[str, int | None]:
    """Receive one packet and its descriptor, if it has one."""
    packet, fds = _receive(conn)
    return packet.decode(errors="replace"), fds[0] if fds else None


# ---- starting one ------------------------------------------------------------------------------------------------


def start(runtime_dir: str) -> None:
    """Fork the keeper and return when it listens.

    Raises:
        OSError: the process or its socket could not be made.
    """
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(ready)
            if os.fork() == 0:
                _become_keeper(runtime_dir, tell)
        os._exit(0)
    os.close(tell)
    with open(ready, "rb") as report:
        text = report.read().decode()
    os.waitpid(child, 0)
    if text != "ready":
        raise OSError(f"the keeper did not start: {text or 'it ended at once'}")


def _become_keeper(runtime_dir: str, tell: int) -> None:
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        listener = _listen(os.path.join(runtime_dir, paths.KEEPER_SOCKET))
        _close_everything_but(listener.fileno(), tell)
        _rename()
        with open(os.path.join(runtime_dir, paths.KEEPER_PID), "w") as file:
            file.write(f"{os.getpid()}\n")
    except BaseException as error:
        os.write(tell, f"{error}".encode())
        raise
    os.write(tell, b"ready")
    os.close(tell)
    Keeper(listener).run()
    os.unlink(os.path.join(runtime_dir, paths.KEEPER_SOCKET))


def _listen(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    listener.bind(path)
    listener.listen(4)
    return listener


def _close_everything_but(*keep: int) -> None:
    """noded's lock, sockets and pipes must not live on in here."""
    devnull = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(devnull, fd)
    edges = sorted({-1, 2, *keep})
    for low, high in zip(edges[1:], [*edges[2:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)


def _rename() -> None:
    try:
        with open("/proc/self/comm", "w") as file:
            file.write("drvs-keeper")
    except OSError as error:
        print(error, file=sys.stderr)
