"""Image files that are programs: a launcher line before the image, or a binary format that the kernel knows.

The line names this Python and the module below `drvs` that replaces itself by the image. With binfmt_misc the kernel
does without the line: it starts a launcher for every executable file that begins like an image.
"""

from __future__ import annotations

import os
import sys

from drvs.base import paths
from drvs.procspace.image.errors import ImageError
from drvs.procspace.image.format import LAUNCHER_MAX, MAGIC

MODE = 0o700
FORMAT = "drvs-image"
_MODULE = "drvs.procspace.image.launch"
_LAUNCHER = "image-launcher"
_BINFMT = "/proc/sys/fs/binfmt_misc"


def begin(fd: int) -> None:
    """Make a new image file executable: mode 0700, and the launcher line, which a dump then follows.

    Raises:
        ImageError: the path of this Python is too long for such a line.
    """
    line = launcher_line()
    os.fchmod(fd, MODE)
    os.write(fd, line)


def launcher_line() -> bytes:
    """Return the line that makes the kernel start this Python for an image."""
    line = os.fsencode(f"#!{sys.executable} -Pm{_MODULE}\n")
    if len(line) > LAUNCHER_MAX or b" " in os.fsencode(sys.executable):
        raise ImageError(
            f"{sys.executable} cannot stand in a launcher line.",
            "Register the format instead (drvs image register), or install drvs under a shorter path without spaces.",
        )
    return line


def register(folder: str = _BINFMT) -> str:
    """Tell the kernel how to run image files; returns the path of the launcher. Lasts until the next boot.

    Args:
        folder: where binfmt_misc is mounted.

    Raises:
        ImageError: it is registered already, or cannot be; the text says what to do.
    """
    if os.path.exists(os.path.join(folder, FORMAT)):
        raise ImageError(f"the format {FORMAT} is registered.", "`drvs image register --remove` takes it away.")
    launcher = _make_launcher()
    magic = "".join(f"\\x{byte:02x}" for byte in MAGIC)
    _tell(os.path.join(folder, "register"), f":{FORMAT}:M:0:{magic}::{launcher}:")
    return launcher


def remove(folder: str = _BINFMT) -> None:
    """Take the format away.

    Raises:
        ImageError: it is not registered, or may not be changed.
    """
    path = os.path.join(folder, FORMAT)
    if os.path.isdir(folder) and not os.path.exists(path):
        raise ImageError(f"the format {FORMAT} is not registered.")
    _tell(path, "-1")
    try:
        os.unlink(os.path.join(paths.own_runtime_dir(), _LAUNCHER))
    except FileNotFoundError:
        pass


def _make_launcher() -> str:
    """Write the program that the kernel is to start: a script, since a format names no arguments."""
    folder = paths.own_runtime_dir()
    os.makedirs(folder, 0o755, exist_ok=True)
    problem = paths.check_owned(folder, os.geteuid())
    if problem:
        raise ImageError(f"{problem}.")
    path = os.path.join(folder, _LAUNCHER)
    part = f"{path}.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o755)
    try:
        os.fchmod(fd, 0o755)
        os.write(fd, os.fsencode(f"#!{sys.executable} -P\nfrom {_MODULE} import main\n\nmain()\n"))
    finally:
        os.close(fd)
    os.replace(part, path)
    return path


def _tell(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ImageError(
            "the kernel shows no binfmt_misc here.",
            f"As root: modprobe binfmt_misc; mount -t binfmt_misc binfmt_misc {_BINFMT}. "
            "`drvs image dump --executable` needs none of it.",
        ) from None
    except OSError as error:
        raise _forbidden(error) from None
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise _forbidden(error) from None
    finally:
        os.close(fd)


def _forbidden(error: OSError) -> ImageError:
    return ImageError(
        f"binfmt_misc may not be changed: {error.strerror}.",
        "Do it as root of this user namespace; `drvs image dump --executable` needs no such right.",
    )
