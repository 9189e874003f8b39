"""What noded tells systemd: ready, stopping, and descriptors to hold across a restart (sd_notify, no libsystemd)."""

import array
import contextlib
import os
import socket

#: First descriptor that systemd passes.
LISTEN_FDS_START = 3


def tell(state: str, fds: tuple[int, ...] = ()) -> bool:
    """Send a state (``READY=1``) to the supervisor; False if there is none.

    Raises:
        OSError: there is one, and it cannot be reached.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendmsg((state.encode(),), rights)
    return True


def ready(status: str) -> None:
    """Say that noded serves."""
    with contextlib.suppress(OSError):
        tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")


def stopping() -> None:
    """Say that noded ends."""
    with contextlib.suppress(OSError):
        tell("STOPPING=1")


def received_fds() -> dict[str, int]:
    """Return the descriptors that systemd held for us, by name, and forget the environment that told of them."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    del os.environ["LISTEN_PID"]
    fds = range(LISTEN_FDS_START, LISTEN_FDS_START + count)
    for fd in fds:
        os.set_inheritable(fd, False)
    return dict(zip(names, fds, strict=False))
