"""Keys for datagrams and what is done with them: X25519, HKDF, ChaCha20-Poly1305.

Each direction has a key of its own, made from a secret that only this connection has. The nonce is the datagram's
number and its kind; a number is used once, and a datagram that is sent again is the same bytes.
"""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from drvs.cluster.wire.frames import FrameError

TAG_BYTES = 16

_nonce = struct.Struct("<IQ").pack


class Keys:
    """Seals what goes out and opens what comes in, for one connection."""

    def __init__(self, outgoing: bytes, incoming: bytes) -> None:
        self._encrypt = ChaCha20Poly1305(outgoing).encrypt
        self._decrypt = ChaCha20Poly1305(incoming).decrypt

    def seal(self, kind: int, number: int, header: bytes, body: bytes | bytearray | memoryview) -> bytes:
        """Return `body` sealed, bound to `header`."""
        return self._encrypt(_nonce(kind, number), body, header)

    def open(self, kind: int, number: int, header: bytes, sealed: bytes) -> bytes | None:
        """Return the body, or None if it is not what the peer sealed."""
        try:
            return self._decrypt(_nonce(kind, number), sealed, header)
        except InvalidTag:
            return None


class Share:
    """One end's part of the secret."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def agree(self, other: bytes, transcript: bytes, *, dialled: bool) -> Keys:
        """Return the keys that both ends find.

        Raises:
            FrameError: The other's share is no point of the curve worth anything.
        """
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError as error:
            raise FrameError(f"a share that cannot be used: {error}") from None
        both = HKDF(hashes.SHA256(), length=64, salt=transcript, info=b"drvs link, datagrams").derive(secret)
        ours, theirs = both[:32], both[32:]
        return Keys(ours, theirs) if dialled else Keys(theirs, ours)
