"""The authority of a cluster: makes itself once, then certificates for nodes."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from drvs.cluster.ca import files
from drvs.cluster.ca.certificates import (
    Trust,
    check_dates,
    check_names,
    cluster_of,
    node_uri,
    read_certificate,
    read_key,
)
from drvs.cluster.ca.files import CredentialsError

#: Certificates are valid from a little before they are made: clocks differ.
CLOCKS_DIFFER = dt.timedelta(hours=1)


class Authority:
    """What `drvs ca` works with: the folder of an authority.

    Raises:
        CredentialsError: The folder has no authority that can be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hint = f"make the authority first: drvs ca init {folder} --cluster NAME"
        self.certificate = read_certificate(folder / files.AUTHORITY, hint)
        self._key = read_key(folder / files.AUTHORITY_KEY)
        if self._key.public_key() != self.certificate.public_key():
            raise CredentialsError(folder / files.AUTHORITY_KEY, f"not the key of {folder / files.AUTHORITY}")
        try:
            self.cluster = cluster_of(self.certificate)
        except ValueError as error:
            raise CredentialsError(folder / files.AUTHORITY, str(error)) from None

    @classmethod
    def create(cls, folder: Path, cluster: str, days: int = 3650, start: dt.datetime | None = None) -> "Authority":
        """Make the authority of a cluster, valid from `start` (now) on.

        Raises:
            CredentialsError: There is one already, or the folder cannot be written.
            ValueError: A name that no cluster can have.
        """
        check_names(cluster, "node", 0)
        files.make_folder(folder)
        for name in (files.AUTHORITY, files.AUTHORITY_KEY):
            if (folder / name).exists():
                raise CredentialsError(
                    folder / name, "exists already", "an authority is made once; choose another folder"
                )
        key = Ed25519PrivateKey.generate()
        subject = x509.Name(
            [
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, cluster),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, f"drvs cluster {cluster}"),
            ]
        )
        start = start or dt.datetime.now(dt.UTC)
        builder = _builder(subject, subject, key.public_key(), start - CLOCKS_DIFFER, start + dt.timedelta(days))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = builder.add_extension(identifier, critical=False).sign(key, None)
        files.write_new(folder / files.AUTHORITY_KEY, _pem(key))
        files.write_new(folder / files.AUTHORITY, certificate.public_bytes(Encoding.PEM), 0o644)
        return cls(folder)

    def issue(
        self,
        node: int,
        name: str,
        *,
        days: int = 365,
        folder: Path | None = None,
        start: dt.datetime | None = None,
    ) -> Path:
        """Make the folder that a node needs.

        Returns:
            The folder: `node-NUMBER` in the authority's, unless another one is named.

        Raises:
            CredentialsError: It has one already, or cannot be written.
            ValueError: A name or number that no node can have.
        """
        check_names(self.cluster, name, node)
        folder = folder or self.folder / f"node-{node}"
        for other in (files.NODE, files.NODE_KEY, files.AUTHORITY):
            if (folder / other).exists():
                raise CredentialsError(
                    folder / other, "exists already", "move it away, or choose another folder (--out)"
                )
        files.make_folder(folder)
        key = Ed25519PrivateKey.generate()
        certificate = self._certify(node, name, key.public_key(), start or dt.datetime.now(dt.UTC), days)
        files.write_new(folder / files.NODE_KEY, _pem(key))
        files.write_new(folder / files.NODE, certificate.public_bytes(Encoding.PEM), 0o644)
        files.write_new(folder / files.AUTHORITY, self.certificate.public_bytes(Encoding.PEM), 0o644)
        return folder

    def _certify(self, node: int, name: str, key: Ed25519PublicKey, start: dt.datetime, days: int) -> x509.Certificate:
        end = min(start + dt.timedelta(days), self.certificate.not_valid_after_utc)
        subject = x509.Name(
            [
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, self.cluster),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
            ]
        )
        uri = x509.UniformResourceIdentifier(node_uri(self.cluster, node, name))
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = _builder(subject, self.certificate.subject, key, start - CLOCKS_DIFFER, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        return builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False).sign(self._key, None)

    def check_usable(self, wall: float) -> None:
        """Check that the authority's own certificate is valid.

        Raises:
            CredentialsError: It is not.
        """
        try:
            check_dates(self.certificate, wall)
        except ValueError as error:
            raise CredentialsError(self.folder / files.AUTHORITY, str(error)) from None

    @property
    def trust(self) -> Trust:
        """What nodes hold certificates against."""
        return Trust(self.certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, begins: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(begins).not_valid_after(ends)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
