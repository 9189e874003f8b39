"""Where a node keeps its socket and its private files.

The runtime directory is DRVS_RUNTIME_DIR, or follows from the user and from DRVS_NODE:

    root                        /run/drvs                       node 0
    a user with a session       $XDG_RUNTIME_DIR/drvs           node 0
    a user without one          /tmp/drvs-UID (0700, checked)   node 0
    DRVS_NODE=3                 the same with -3 at the end     node 3

It is 0755 and its socket 0666 (callers are judged by their credentials); its private part is 0700.
"""

import os
import stat

SYSTEM_DIR = "/run/drvs"

SOCKET = "noded.sock"
LOCK = "noded.lock"
PRIVATE = "private"
KEEPER_SOCKET = "private/keeper.sock"
KEEPER_PID = "private/keeper.pid"
LOG = "private/noded.log"


def node_id() -> int:
    """Return the node that DRVS_NODE names, 0 without it.

    Raises:
        ValueError: DRVS_NODE is not a number from 0 to 4095; set it to one, or unset it.
    """
    text = os.environ.get("DRVS_NODE", "").strip() or "0"
    if not text.isascii() or not text.isdigit() or int(text) > 4095:
        raise ValueError(f"DRVS_NODE is {text!r}: set it to a node id from 0 to 4095, or unset it")
    return int(text)


def own_runtime_dir(node: int | None = None) -> str:
    """Return the runtime directory of the node this user would start: nothing is created or checked."""
    explicit = os.environ.get("DRVS_RUNTIME_DIR", "")
    if explicit:
        return os.path.abspath(explicit)
    number = node_id() if node is None else node
    return _user_base() + (f"-{number}" if number else "")


def find_runtime_dir(explicit: str | os.PathLike[str] | None = None) -> str:
    """Return the runtime directory a client talks to.

    `explicit` wins, then DRVS_RUNTIME_DIR, then this user's own node if it has a socket, then the system's node.
    """
    if explicit is not None:
        return os.path.abspath(os.fspath(explicit))
    own = own_runtime_dir()
    if os.environ.get("DRVS_RUNTIME_DIR") or os.path.exists(os.path.join(own, SOCKET)):
        return own
    number = node_id()
    system = SYSTEM_DIR + (f"-{number}" if number else "")
    return system if os.path.exists(os.path.join(system, SOCKET)) else own


def _user_base() -> str:
    if os.geteuid() == 0:
        return SYSTEM_DIR
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(session, "drvs") if session else f"/tmp/drvs-{os.geteuid()}"


def check_owned(path: str, uid: int) -> str | None:
    """Return why `path` must not be used as the runtime directory of user `uid`, or None if it may.

    /tmp is open to all: a directory that somebody else made there, or a symbolic link, would hand him the node.
    """
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        return f"{path} is not a directory: remove it, or set DRVS_RUNTIME_DIR to another place"
    if status.st_uid != uid:
        return f"{path} belongs to user {status.st_uid}, not to {uid}: set DRVS_RUNTIME_DIR to a directory of your own"
    if status.st_mode & 0o022:
        return f"{path} can be written by others: run `chmod go-w {path}`, or set DRVS_RUNTIME_DIR to another place"
    return None


def short_enough(path: str) -> bool:
    """Say whether a Unix socket can have this path (sun_path holds 107 bytes)."""
    return len(os.fsencode(path)) <= 107
