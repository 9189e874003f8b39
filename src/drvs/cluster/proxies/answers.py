"""What a peer is told when its command could not be put: the acknowledgement that the core had no place for.

The core acknowledges by itself whatever reaches a VM. Only where there is none (it does not run here, or does not
span that node, or is damaged) does the receiver proxy answer, from the command's own header.
"""

from typing import Any

from drvs import core
from drvs.base.codes import Code

ACK = 1 << 13

SEND_MSG, SNDREC_MSG, REPLY_MSG = 1, 3, 4
COPYIN_DATA, COPYOUT_RQST, COPYLCL_RQST, COPYRMT_RQST, COPYIN_RQST = 5, 6, 7, 8, 9
NOACK = 4
LAST = 1

_ANSWERED = {SEND_MSG, SNDREC_MSG, REPLY_MSG, COPYIN_DATA, COPYOUT_RQST, COPYLCL_RQST, COPYRMT_RQST}

#: What is wrong here, in the words of the caller's node.
_THERE = {Code.VMNOTRUN: Code.NOVMNODE, Code.BADVMID: Code.NOVMNODE}


def refusal(record: bytes | memoryview, code: int, node: int) -> tuple[int, bytes] | None:
    """Return (node, record) of the acknowledgement that `code` came of a record; None if it wants none."""
    command = core.decode_command(record)
    to, kind = command["snode"], command["cmd"]
    if kind == COPYIN_RQST:  # of a copy for a third node: that one is told
        to, kind = command["rnode"], COPYRMT_RQST
    elif kind not in _ANSWERED or command["flags"] & NOACK:
        return None
    if to == node:
        return None
    return to, core.encode_command(_acknowledgement(command, kind | ACK, to, code, node))


def _acknowledgement(command: dict[str, Any], kind: int, to: int, code: int, node: int) -> dict[str, Any]:
    about_copy = kind & ~ACK >= COPYIN_DATA
    return {
        "cmd": kind,
        "vmid": command["vmid"],
        "src": command["dst"],
        "dst": command["v_rqtr"] if about_copy and kind & ~ACK == COPYRMT_RQST else command["src"],
        "snode": node,
        "dnode": to,
        "rcode": _THERE.get(Code.of(code), code),
        "rnode": command["rnode"],
        "flags": LAST if about_copy else 0,
        "call": command["call"],
        **{name: command[name] for name in ("v_src", "v_dst", "v_rqtr", "v_bytes", "v_saddr", "v_daddr")},
    }
