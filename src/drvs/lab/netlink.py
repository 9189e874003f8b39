"""Interfaces and addresses by rtnetlink: the little of `ip` that a lab needs, and no package to install for it.

A `Network` is a socket into one network namespace, and speaks of the interfaces there. It keeps the namespace alive
while it is open.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import struct

from drvs.lab import kernel

_NEWLINK, _DELLINK, _NEWADDR = 16, 17, 20
_REQUEST, _ACK, _CREATE_EXCL = 1, 4, 0x400 | 0x200
_ERROR = 2
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFF_UP = 1
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


_numbers = itertools.count(1)


def attribute(kind: int, data: bytes) -> bytes:
    """Return an attribute as netlink messages carry them: length, kind, data, padding."""
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _name(text: str) -> bytes:
    return attribute(_IFLA_IFNAME, text.encode() + b"\0")


class Network:
    """A network namespace, seen from within.

    Args:
        namespace: a descriptor of it; None: the calling process's own.
    """

    def __init__(self, namespace: int | None = None) -> None:
        with within(namespace):
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            self._inet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._netlink.settimeout(10)
        self.namespace = namespace

    def close(self) -> None:
        """Let the namespace go."""
        self._netlink.close()
        self._inet.close()

    # ---- interfaces ----

    def add_bridge(self, name: str) -> None:
        """Make a bridge."""
        info = attribute(_INFO_KIND, b"bridge\0")
        self._ask(_NEWLINK, _link() + _name(name) + attribute(_IFLA_LINKINFO, info), _CREATE_EXCL)

    def add_veth(self, name: str, mac: str, other: Network, other_name: str, other_mac: str) -> None:
        """Make a pair of interfaces: `name` here, `other_name` in the namespace of `other`."""
        peer = _link() + _name(other_name) + attribute(_IFLA_ADDRESS, _mac(other_mac))
        if other.namespace is not None:
            peer += attribute(_IFLA_NET_NS_FD, struct.pack("=I", other.namespace))
        data = attribute(_INFO_DATA, attribute(_VETH_PEER, peer))
        info = attribute(_IFLA_LINKINFO, attribute(_INFO_KIND, b"veth\0") + data)
        self._ask(_NEWLINK, _link() + _name(name) + attribute(_IFLA_ADDRESS, _mac(mac)) + info, _CREATE_EXCL)

    def remove(self, name: str) -> None:
        """Remove an interface, and with it the other half of a pair."""
        self._ask(_DELLINK, _link() + _name(name))

    def up(self, name: str, *, master: str | None = None, mtu: int | None = None) -> None:
        """Bring an interface up, as a port of the bridge `master` if there is one."""
        attributes = b""
        if master is not None:
            attributes += attribute(_IFLA_MASTER, struct.pack("=I", self._index(master)))
        if mtu is not None:
            attributes += attribute(_IFLA_MTU, struct.pack("=I", mtu))
        self._ask(_NEWLINK, _link(self._index(name), _IFF_UP, _IFF_UP) + attributes)

    def add_address(self, name: str, address: str, prefix: int) -> None:
        """Give an interface an IPv4 address."""
        packed = socket.inet_aton(address)
        head = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, 0, self._index(name))
        self._ask(_NEWADDR, head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed), _CREATE_EXCL)

    def checksum_in_software(self, name: str) -> None:
        """Let what leaves an interface be complete frames: no checksum and no segmentation left to a device."""
        value = bytearray(struct.pack("=II", _ETHTOOL_STXCSUM, 0))
        where = _address_of(value)
        fcntl.ioctl(self._inet, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), where))

    # ---- asking the kernel ----

    def _index(self, name: str) -> int:
        request = struct.pack("16s16x", name.encode())
        siocgifindex = 0x8933
        return int(struct.unpack_from("=i", fcntl.ioctl(self._inet, siocgifindex, request), 16)[0])

    def _ask(self, kind: int, body: bytes, flags: int = 0) -> None:
        ask(self._netlink, kind, body, flags)


def ask(sock: socket.socket, kind: int, body: bytes, flags: int = 0) -> bytes:
    """Send a request over a netlink socket; returns the body of an answer other than "done".

    Raises:
        OSError: the kernel refused.
    """
    number = next(_numbers)
    head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, number, 0)
    sock.send(head + body)
    answer = sock.recv(65536)
    length, kind, _, _, _ = struct.unpack_from("=IHHII", answer)
    if kind != _ERROR:
        sock.recv(65536)  # the word that this was all
        return answer[16:length]
    code = struct.unpack_from("=i", answer, 16)[0]
    if code:
        raise OSError(-code, f"netlink: {os.strerror(-code)}")
    return b""


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _address_of(buffer: bytearray) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class within:  # noqa: N801 - reads as a verb
    """Be in another network namespace for a moment. The process must have one thread, or only this one may care."""

    def __init__(self, namespace: int | None) -> None:
        self._namespace = namespace
        self._home = -1

    def __enter__(self) -> None:
        if self._namespace is not None:
            self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            kernel.setns(self._namespace, kernel.NEWNET)

    def __exit__(self, *_: object) -> None:
        if self._home >= 0:
            kernel.setns(self._home, kernel.NEWNET)
            os.close(self._home)
