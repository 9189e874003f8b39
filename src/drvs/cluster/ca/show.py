"""What `drvs ca show` tells of a folder or a certificate."""

import datetime as dt
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from drvs.cluster.ca import files
from drvs.cluster.ca.certificates import NodeCertificate, Trust, cluster_of, read_certificate
from drvs.cluster.ca.files import CredentialsError


def describe(path: Path, wall: float) -> list[dict[str, Any]]:
    """Return one row for each certificate at `path`: an authority's folder, a node's, or a file.

    Raises:
        CredentialsError: There is none.
    """
    if not path.is_dir():
        return [_row(path, None, wall)]
    found = [path / files.AUTHORITY, *sorted(path.glob(f"node-*/{files.NODE}"), key=_number), path / files.NODE]
    existing = [file for file in found if file.exists()]
    if not existing:
        raise CredentialsError(path, "no certificates here", "drvs ca init DIR --cluster NAME makes an authority")
    authority = path / files.AUTHORITY
    trust = Trust(read_certificate(authority)) if authority.exists() else None
    return [_row(file, trust, wall) for file in existing]


def _number(path: Path) -> tuple[int, str]:
    text = path.parent.name.removeprefix("node-")
    return (int(text) if text.isdigit() else 1 << 30, text)


def _row(path: Path, trust: Trust | None, wall: float) -> dict[str, Any]:
    certificate = read_certificate(path)
    node = _node(certificate)
    days = (certificate.not_valid_after_utc - dt.datetime.fromtimestamp(wall, dt.UTC)).days
    return {
        "file": str(path),
        "kind": "node" if node else "authority",
        "cluster": node.cluster if node else _cluster(certificate, path),
        "node": node.node if node else None,
        "name": node.name if node else None,
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "days_left": days,
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
        "problem": _problem(certificate, node, trust, wall),
    }


def _node(certificate: x509.Certificate) -> NodeCertificate | None:
    try:
        return NodeCertificate(certificate)
    except ValueError:
        return None


def _cluster(certificate: x509.Certificate, path: Path) -> str:
    try:
        return cluster_of(certificate)
    except ValueError as error:
        raise CredentialsError(path, str(error)) from None


def _problem(
    certificate: x509.Certificate, node: NodeCertificate | None, trust: Trust | None, wall: float
) -> str | None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from drvs.cluster.ca.certificates import check_dates

    try:
        if node and trust:
            trust.check(certificate.public_bytes(Encoding.DER), wall)
        check_dates(certificate, wall)
    except ValueError as error:
        return str(error)
    return None
