"""The directories that initialising, each VM and each proxy pair make, as in the guide: failing is NOTDIR or BADF.

The file `info` in each says that it is there, and which command shows its listing. The listings themselves are made
when somebody reads them, by `drvs.procview`.
"""

import os
import shlex
import shutil

from drvs.base.codes import Code
from drvs.daemon.refusal import Refused

FOLDER = "proc"


def create_node(runtime_dir: str) -> None:
    """Make `proc` with its `info`.

    Raises:
        Refused: NOTDIR or BADF.
    """
    folder = os.path.join(runtime_dir, FOLDER)
    _make_folder(folder)
    _write(os.path.join(folder, "info"), "info")


def remove_node(runtime_dir: str) -> None:
    """Remove `proc` and all in it."""
    shutil.rmtree(os.path.join(runtime_dir, FOLDER), ignore_errors=True)


def create_folder(runtime_dir: str, name: str, listing: str) -> None:
    """Make the directory of a VM or of a proxy pair, with its `info`.

    Args:
        runtime_dir: of the node.
        name: of the VM or pair.
        listing: the file of the view that shows it.

    Raises:
        Refused: NOTDIR or BADF; nothing has changed then.
    """
    folder = os.path.join(runtime_dir, FOLDER, name)
    _make_folder(folder)
    try:
        _write(os.path.join(folder, "info"), listing)
    except Refused:
        remove_folder(runtime_dir, name)
        raise


def remove_folder(runtime_dir: str, name: str) -> None:
    """Remove the directory of a VM or of a proxy pair."""
    shutil.rmtree(os.path.join(runtime_dir, FOLDER, name), ignore_errors=True)


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        if not os.path.isdir(path) or os.path.islink(path):
            raise Refused(Code.NOTDIR, f"{path} is in the way: remove it") from None
    except OSError as error:
        raise Refused(Code.NOTDIR, f"{path} cannot be created: {error.strerror}") from None


def _write(path: str, listing: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with open(fd, "w") as file:
            file.write(f"drvs cat {shlex.quote(listing)}\n")
    except OSError as error:
        raise Refused(Code.BADF, f"{path} cannot be written: {error.strerror}") from None
