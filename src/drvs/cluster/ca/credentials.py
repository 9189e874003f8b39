"""What a node proves itself with: its folder of certificates, loaded and checked."""

from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from drvs.cluster.ca import files
from drvs.cluster.ca.certificates import NodeCertificate, Trust, check_dates, read_certificate, read_key
from drvs.cluster.ca.files import CredentialsError
from drvs.cluster.transports.tls import Contexts


class NodeCredentials:
    """A node's certificate, its key, and the authority whose certificates it believes.

    Args:
        folder: As `drvs ca issue` made it.
        wall: The time, in seconds since 1970.
        node: The number that the certificate must have; None: whatever it has.

    Raises:
        CredentialsError: A file is missing, cannot be read, is open to others, has expired, or does not fit the others.
    """

    def __init__(self, folder: Path, wall: float, node: int | None = None) -> None:
        self.folder = folder
        hint = "copy the folder that `drvs ca issue` made for this node, whole"
        own = read_certificate(folder / files.NODE, hint)
        authority = read_certificate(folder / files.AUTHORITY, hint)
        self._key = read_key(folder / files.NODE_KEY)
        if self._key.public_key() != own.public_key():
            raise CredentialsError(folder / files.NODE_KEY, f"not the key of {folder / files.NODE}", hint)
        try:
            self._trust = Trust(authority)
            check_dates(authority, wall)
        except ValueError as error:
            raise CredentialsError(folder / files.AUTHORITY, str(error)) from None
        self.certificate = own.public_bytes(Encoding.DER)
        try:
            self.own = self._trust.check(self.certificate, wall)
        except ValueError as error:
            raise CredentialsError(folder / files.NODE, str(error), "make another: drvs ca issue") from None
        if node is not None and self.own.node != node:
            raise CredentialsError(folder / files.NODE, f"it is for node {self.own.node}, and this is node {node}")

    def __repr__(self) -> str:
        return f"<NodeCredentials of node {self.own.node} ({self.own.name}) of cluster {self.own.cluster}>"

    def sign(self, data: bytes) -> bytes:
        """Sign with the node's key."""
        return self._key.sign(data)

    def check(self, certificate: bytes, wall: float) -> NodeCertificate:
        """Return what a peer's certificate says.

        Raises:
            ValueError: It is not to be believed; the text is the reason.
        """
        return self._trust.check(certificate, wall)

    @cached_property
    def contexts(self) -> Contexts:
        """The node's TLS contexts."""
        return Contexts(self.folder / files.AUTHORITY, self.folder / files.NODE, self.folder / files.NODE_KEY)
