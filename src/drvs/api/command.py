"""Command: what goes from node to node, one at a time, as a proxy sees it (cmd_t of the guide, and its payload)."""

from __future__ import annotations

import msgspec

from drvs.base.flags import Cmd, CmdFlag
from drvs.core import Message, decode_command, encode_command

_NO_TRACE = bytes(16)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command between two nodes; from `ProxyPair.get_remote`, for `ProxyPair.put_local` on the other node.

    Attributes:
        cmd: what it asks for (`drvs.Cmd`).
        vmid: the VM it belongs to.
        src, dst: endpoints: who sends it, and to whom.
        snode, dnode: their nodes.
        rcode: the code of an acknowledgement.
        v_src, v_dst, v_rqtr, v_saddr, v_daddr, v_bytes: of a copy: whose memory, where, and for whom; v_bytes of a
            notification is its argument.
        rnode: the node of who made the call that this belongs to: v_rqtr's, or the source's; -1: the source's.
        flags: see `drvs.CmdFlag`.
        call: the number of the caller's call, which its answer repeats; 0 fits any.
        answers: of a reply: the number of the call that it answers.
        incarnation: which owner of its slot the source is; 0 if it does not say.
        time_ns: when it was taken (CLOCK_REALTIME in nanoseconds).
        trace: the trace id that it carries.
        payload: 64 bytes of a message, or a block of data, or nothing.
    """

    cmd: int
    vmid: int
    src: int
    dst: int
    snode: int
    dnode: int
    rcode: int = 0
    v_src: int = 0
    v_dst: int = 0
    v_rqtr: int = 0
    v_saddr: int = 0
    v_daddr: int = 0
    v_bytes: int = 0
    rnode: int = -1
    flags: int = 0
    call: int = 0
    answers: int = 0
    incarnation: int = 0
    time_ns: int = 0
    trace: bytes = _NO_TRACE
    payload: bytes = b""

    @classmethod
    def from_record(cls, record: bytes | bytearray | memoryview) -> Command:
        """Return the command in a record of the wire.

        Raises:
            ValueError: it is malformed; the text says how.
        """
        return cls(**decode_command(record))

    def to_record(self) -> bytes:
        """Return the record of the wire that carries it.

        Raises:
            ValueError: its payload is not what its number asks for.
        """
        fields = msgspec.structs.asdict(self)
        return encode_command(fields | {"rnode": self.snode} if self.rnode < 0 else fields)

    @property
    def message(self) -> Message:
        """The message that it carries.

        Raises:
            ValueError: it carries none.
        """
        message = Message()
        if len(self.payload) != len(message.data):
            raise ValueError(f"{self.name} carries no message")
        message.data[:] = self.payload
        return message

    @property
    def name(self) -> str:
        """Its name, SEND_MSG for instance; the number if it has none."""
        return Cmd(self.cmd).name if self.cmd in _NUMBERS else str(self.cmd)

    @property
    def last(self) -> bool:
        """Whether it is the last piece of a copy."""
        return bool(self.flags & CmdFlag.LAST)

    def answer(self, rcode: int = 0, *, cmd: int | None = None, payload: bytes = b"", flags: int = 0) -> Command:
        """Return the answer to it: from its destination to its source, by default its acknowledgement.

        Args:
            rcode: the code.
            cmd: another number than that of the acknowledgement, REPLY_MSG for instance.
            payload: what it carries.
            flags: see `drvs.CmdFlag`.
        """
        number = self.cmd | Cmd.ACK if cmd is None else cmd
        return msgspec.structs.replace(
            self, cmd=int(number), src=self.dst, dst=self.src, snode=self.dnode, dnode=self.snode, rcode=rcode,
            payload=payload, flags=flags, incarnation=0, trace=_NO_TRACE,
            rnode=-1 if number == Cmd.REPLY_MSG else self.rnode,
            answers=self.call if number == Cmd.REPLY_MSG else 0,
            call=0 if number == Cmd.REPLY_MSG else self.call,
        )  # fmt: skip


_NUMBERS = frozenset(Cmd)
