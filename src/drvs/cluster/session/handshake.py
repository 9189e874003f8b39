"""Who is at the other end: three messages, each end proving that it holds the key of a certificate of the cluster.

    dialler                            listener
    HELLO (who, nonce, share)   →
                                ←      ANSWER (who, nonce, share), AUTH (signature)
    AUTH (signature)            →

Both signatures are over HELLO and ANSWER, and so over both nonces: an old HELLO or AUTH that somebody says again is
worth nothing. They name the signer's role, so that nobody's own signature can be played back to him. The shares
(X25519) give datagrams their keys; they are signed with the rest, so nobody can stand in the middle. A transport that
has its own encryption (TLS) names the certificate that it was made with, which must be the one in HELLO.

Without credentials there are no certificates, shares or signatures, and the nodes believe each other (`--insecure`).
"""

import hashlib
import secrets
from typing import TYPE_CHECKING, Protocol

from drvs.cluster.session.identity import Identity, Settings
from drvs.cluster.wire.frames import FrameError, Kind, encode_frame
from drvs.cluster.wire.hello import Hello, decode_message, encode_message

if TYPE_CHECKING:
    from drvs.cluster.session.sealing import Keys, Share

SIGNATURE_BYTES = 64


class Refused(FrameError):
    """The peer is not who it should be, or cannot be understood."""


class Certified(Protocol):
    """What a certificate that was found good says."""

    cluster: str
    node: int
    name: str

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Say whether the holder of the certificate's key signed `data`."""
        ...


class Credentials(Protocol):
    """What a node has to prove itself with: `ca.NodeCredentials`, or a fake."""

    certificate: bytes

    def sign(self, data: bytes) -> bytes:
        """Sign with the node's key."""
        ...

    def check(self, certificate: bytes, wall: float) -> Certified:
        """Return what a peer's certificate says; `wall` is the time in seconds since 1970.

        Raises:
            ValueError: It is not good; the text is the reason.
        """
        ...


class Handshake:
    """One end of the three messages. `peer` is None until the other end has proved itself."""

    def __init__(
        self,
        local: Identity,
        credentials: Credentials | None,
        settings: Settings,
        *,
        dialled: bool,
        expect: int | None = None,
        datagram_bytes: int = 0,
    ) -> None:
        self.peer: Identity | None = None
        self.version = 0
        self.frame_bytes = settings.frame_bytes
        self.datagram_bytes = datagram_bytes
        #: The certificate that the transport's own encryption was made with, if it has one.
        self.channel_certificate: bytes | None = None
        self._local, self._credentials, self._dialled, self._expect = local, credentials, dialled, expect
        self._share = self._make_share() if credentials and datagram_bytes else None
        self._mine = self._introduce(settings)
        self._theirs: Hello | None = None
        self._certified: Certified | None = None
        self._transcript = b""

    def _make_share(self) -> "Share":
        from drvs.cluster.session.sealing import Share

        return Share()

    def _introduce(self, settings: Settings) -> bytes:
        local = self._local
        hello = Hello(
            versions=local.versions,
            cluster=local.cluster,
            node=local.node,
            name=local.name,
            incarnation=local.incarnation,
            limits=local.limits,
            nonce=secrets.token_bytes(32),
            share=self._share.public if self._share else b"",
            certificate=self._credentials.certificate if self._credentials else b"",
            frame_bytes=settings.frame_bytes,
            datagram_bytes=self.datagram_bytes,
        )
        return encode_message(hello)

    def opening(self) -> bytes:
        """Return what to say first: the dialler's HELLO; a listener says nothing."""
        return encode_frame(Kind.HELLO, self._mine) if self._dialled else b""

    def take(self, kind: int, body: bytes, wall: float) -> bytes:
        """Take a frame of the handshake and return what to say to it.

        Raises:
            Refused, FrameError: With the reason for which the connection ends.
        """
        if kind == (Kind.ANSWER if self._dialled else Kind.HELLO) and self._theirs is None:
            self._meet(body, wall)
            return b"" if self._dialled else encode_frame(Kind.ANSWER, self._mine) + self._prove()
        if kind == Kind.AUTH and self._theirs is not None and self.peer is None:
            self._believe(body)
            return self._prove() if self._dialled else b""
        raise FrameError(f"a frame of kind {kind} before the peer has proved who it is")

    def keys(self) -> "Keys | None":
        """Return the keys for datagrams, once both ends have introduced themselves; None when insecure."""
        if self._share is None or self._theirs is None:
            return None
        return self._share.agree(self._theirs.share, self._transcript, dialled=self._dialled)

    # ---- the peer's HELLO or ANSWER ----

    def _meet(self, body: bytes, wall: float) -> None:
        theirs = decode_message(Hello, body)
        self._check_versions(theirs)
        self._check_who(theirs)
        self._check_limits(theirs)
        self._check_certificate(theirs, wall)
        self._theirs = theirs
        self.frame_bytes = min(self.frame_bytes, theirs.frame_bytes)
        self.datagram_bytes = min(self.datagram_bytes, theirs.datagram_bytes)
        first, second = (self._mine, body) if self._dialled else (body, self._mine)
        self._transcript = hashlib.sha256(len(first).to_bytes(4, "little") + first + second).digest()

    def _check_versions(self, theirs: Hello) -> None:
        low, high = self._local.versions
        self.version = min(high, theirs.versions[1])
        if self.version < max(low, theirs.versions[0]):
            spoken = f"{theirs.versions[0]} to {theirs.versions[1]}"
            raise Refused(f"node {theirs.node} speaks versions {spoken} of the protocol, this node {low} to {high}")

    def _check_who(self, theirs: Hello) -> None:
        if theirs.cluster != self._local.cluster:
            raise Refused(f"the peer is of cluster {theirs.cluster!r}, this node of {self._local.cluster!r}")
        if self._expect is not None and theirs.node != self._expect:
            raise Refused(f"node {theirs.node} answers where node {self._expect} should")
        if theirs.node == self._local.node:
            raise Refused(f"the peer has this node's own number, {theirs.node}")
        if theirs.node >= self._local.limits.nr_nodes:
            most = self._local.limits.nr_nodes
            raise Refused(f"the peer is node {theirs.node}, and this node was made for {most} (nr_nodes)")

    def _check_limits(self, theirs: Hello) -> None:
        ours, its = self._local.limits.nr_tasks, theirs.limits.nr_tasks
        if ours != its:
            raise Refused(f"node {theirs.node} has nr_tasks {its}, this node {ours}: endpoints would not mean the same")

    def _check_certificate(self, theirs: Hello, wall: float) -> None:
        if self._credentials is None:
            if theirs.certificate:
                raise Refused(f"node {theirs.node} asks for certificates, this node was started with --insecure")
            return
        if not theirs.certificate:
            raise Refused(f"node {theirs.node} shows no certificate: it was started with --insecure, this node was not")
        try:
            certified = self._credentials.check(theirs.certificate, wall)
        except ValueError as error:
            raise Refused(f"the certificate of node {theirs.node}: {error}") from None
        claimed = (theirs.cluster, theirs.node, theirs.name)
        if (certified.cluster, certified.node, certified.name) != claimed:
            raise Refused(
                f"the peer says it is node {theirs.node} ({theirs.name!r}) and shows a certificate of node "
                f"{certified.node} ({certified.name!r}) of cluster {certified.cluster!r}"
            )
        if self.channel_certificate is not None and self.channel_certificate != theirs.certificate:
            raise Refused(f"node {theirs.node} shows another certificate than the one its TLS connection was made with")
        if self._share and not theirs.share:
            raise Refused(f"node {theirs.node} gives no key for datagrams")
        self._certified = certified

    # ---- proof ----

    def _prove(self) -> bytes:
        signature = b""
        if self._credentials:
            signature = self._credentials.sign(_signed(self._transcript, dialler=self._dialled))
        return encode_frame(Kind.AUTH, signature)

    def _believe(self, signature: bytes) -> None:
        theirs = self._theirs
        assert theirs is not None
        if self._certified is None:
            if signature:
                raise Refused(f"node {theirs.node} signs, and this node was started with --insecure")
        elif not self._certified.verify(signature, _signed(self._transcript, dialler=not self._dialled)):
            raise Refused(f"node {theirs.node} does not hold the key of its certificate")
        self.peer = Identity(
            node=theirs.node,
            name=theirs.name,
            cluster=theirs.cluster,
            incarnation=theirs.incarnation,
            limits=theirs.limits,
            versions=theirs.versions,
        )


def _signed(transcript: bytes, *, dialler: bool) -> bytes:
    """What an end signs: its role, and all that was said."""
    return (b"drvs link, dialler\0" if dialler else b"drvs link, listener\0") + transcript
