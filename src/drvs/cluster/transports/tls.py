"""TLS 1.3 with both ends' certificates, from the files that `drvs ca` makes."""

import ipaddress
import socket
import ssl
from pathlib import Path


class Contexts:
    """The two contexts of a node: for connections that it dials, and for those that it accepts."""

    def __init__(self, authority: Path, certificate: Path, key: Path) -> None:
        self.dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.dialling.check_hostname = False  # the certificate names a node, and HELLO is held against it
        self.listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.listening.num_tickets = 0
        for context in (self.dialling, self.listening):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority)
            context.load_cert_chain(certificate, key)


def is_loopback(sock: socket.socket) -> bool:
    """Say whether both ends of a connected socket are on this machine."""
    ends = (sock.getsockname(), sock.getpeername())
    return all(ipaddress.ip_address(str(end[0]).partition("%")[0]).is_loopback for end in ends)
