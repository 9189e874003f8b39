"""What certificates say, and whether to believe them."""

import datetime as dt
import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from drvs.base.limits import MAX_NODES, NAME_BYTES
from drvs.cluster.ca.files import CredentialsError, read

_URI = re.compile(r"drvs://([A-Za-z0-9._-]{1,63})/([0-9]{1,4})/([A-Za-z0-9._-]{1,63})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_names(cluster: str, name: str, node: int) -> None:
    """Check what is to be written into a certificate.

    Raises:
        ValueError: A name or number that no cluster or node can have.
    """
    if not _NAME.fullmatch(cluster) or len(cluster) > 63:
        raise ValueError(f"{cluster!r} is no name for a cluster: letters, digits, '.', '_' and '-', at most 63")
    if not _NAME.fullmatch(name) or len(name) > NAME_BYTES:
        raise ValueError(f"{name!r} is no name for a node: letters, digits, '.', '_' and '-', at most {NAME_BYTES}")
    if not 0 <= node < MAX_NODES:
        raise ValueError(f"{node} is no number for a node: 0 to {MAX_NODES - 1}")


def node_uri(cluster: str, node: int, name: str) -> str:
    """Return how a certificate names a node."""
    return f"drvs://{cluster}/{node}/{name}"


class NodeCertificate:
    """What a node's certificate says. Nothing is checked but that it can be read."""

    def __init__(self, certificate: x509.Certificate) -> None:
        key = certificate.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("its key is not of the kind that drvs makes (Ed25519)")
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        except (x509.ExtensionNotFound, ValueError):
            uris = []
        found = _URI.fullmatch(uris[0]) if len(uris) == 1 else None
        if found is None:
            raise ValueError("it names no node of a cluster")
        self.cluster, self.node, self.name = found[1], int(found[2]), found[3]
        self.not_before = certificate.not_valid_before_utc
        self.not_after = certificate.not_valid_after_utc
        self._key = key

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Say whether the holder of the certificate's key signed `data`."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def check_dates(certificate: x509.Certificate, wall: float) -> None:
    """Check that a certificate is valid at a time (seconds since 1970).

    Raises:
        ValueError: It is not; says since or until when.
    """
    now = dt.datetime.fromtimestamp(wall, dt.UTC)
    if now > certificate.not_valid_after_utc:
        raise ValueError(f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if now < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise ValueError(f"it is not valid before {begins} UTC, and here it is {now:%Y-%m-%d %H:%M}: see to the clocks")


class Trust:
    """An authority's certificate, against which those of nodes are held."""

    def __init__(self, authority: x509.Certificate) -> None:
        self.certificate = authority
        self.cluster = cluster_of(authority)

    def check(self, der: bytes, wall: float) -> NodeCertificate:
        """Return what a node's certificate (DER) says.

        Raises:
            ValueError: It is not to be believed; the text is the reason.
        """
        try:
            certificate = x509.load_der_x509_certificate(der)
            certificate.verify_directly_issued_by(self.certificate)
            node = NodeCertificate(certificate)
        except (InvalidSignature, TypeError):
            raise ValueError(f"it was not issued by this cluster's authority ({self.cluster!r})") from None
        except x509.InvalidVersion:
            raise ValueError("it cannot be read") from None
        except ValueError as error:
            if "Issuer name" in str(error):
                raise ValueError(f"it was not issued by this cluster's authority ({self.cluster!r})") from None
            raise ValueError(str(error) if str(error).startswith("it") else "it cannot be read") from None
        check_dates(certificate, wall)
        if node.cluster != self.cluster:
            raise ValueError(f"it is of cluster {node.cluster!r}, the authority of {self.cluster!r}")
        return node


def cluster_of(authority: x509.Certificate) -> str:
    """Return the cluster that an authority's certificate names.

    Raises:
        ValueError: It names none.
    """
    names = authority.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    if len(names) != 1:
        raise ValueError("it is no authority's certificate of drvs")
    return str(names[0].value)


def read_certificate(path: Path, hint: str = "") -> x509.Certificate:
    """Read a certificate (PEM).

    Raises:
        CredentialsError: There is none.
    """
    data = read(path, hint=hint)
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        raise CredentialsError(path, "no certificate (PEM)", "make a new one: drvs ca issue") from None


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key (PEM, 0600).

    Raises:
        CredentialsError: There is none, or others can read it.
    """
    data = read(path, private=True)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise CredentialsError(path, "no private key of drvs (PEM, Ed25519)", "make a new one: drvs ca issue")
    return key
