"""Files of certificates and keys: written once, private, and read with errors that name them."""

import os
from pathlib import Path

AUTHORITY = "ca.crt"
AUTHORITY_KEY = "ca.key"
NODE = "node.crt"
NODE_KEY = "node.key"


class CredentialsError(ValueError):
    """A file of certificates or keys cannot be used. The text names it; `hint` is what to do."""

    def __init__(self, path: Path, reason: str, hint: str = "") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.hint = hint


def need_cryptography() -> None:
    """Check that the package that makes and checks certificates is there.

    Raises:
        RuntimeError: It is not; says what to install.
    """
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise RuntimeError("certificates need the package cryptography: pip install 'drvs[cluster]'") from None


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that must not exist yet.

    Raises:
        CredentialsError: It does, or cannot be written.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise CredentialsError(path, "exists already", "move it away first: nothing is overwritten") from None
    except OSError as error:
        raise CredentialsError(path, error.strerror or str(error)) from None
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def make_folder(path: Path) -> None:
    """Make a private folder, if it is not there.

    Raises:
        CredentialsError: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CredentialsError(path, error.strerror or str(error)) from None


def read(path: Path, *, private: bool = False, hint: str = "") -> bytes:
    """Read a file; a private one must not be open to others.

    Raises:
        CredentialsError: It cannot be read, or others can.
    """
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise CredentialsError(path, error.strerror or str(error), hint) from None
    if private and mode & 0o077:
        raise CredentialsError(path, "a key that others can read", f"make it private (chmod 600 {path}), or a new one")
    return data
