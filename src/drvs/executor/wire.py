"""What worker and executor say to each other: one table for both ends.

A worker makes one `sendrec` after the other to the executor's endpoint; each says how the last call went and asks for
the next. Whatever moves between two memories is moved by the executor, while the worker waits in its `sendrec`.

    worker says                                         executor answers
    READY   pid, its inbox: address and size            one of
    DONE    the result, pickled                           CALL    a call, pickled: in the message, or in the inbox
    FAILED  how the call failed, pickled                  LOAD    n lengths are in the inbox: make room for them
    LOADED  address of n addresses: there is room         GO      all n parts are in place: run it
    BROKEN  why there is no point in going on             STOP    end

The kind is the low byte of `Message.type`. Text of up to 56 bytes travels in the message itself, its length in the
upper bytes; otherwise the fields of view 8 are used as the constants below name them.
"""

from __future__ import annotations

from typing import Final

READY: Final = 1
DONE: Final = 2
FAILED: Final = 3
LOADED: Final = 4
BROKEN: Final = 5
CALL: Final = 16
LOAD: Final = 17
GO: Final = 18
STOP: Final = 19

KIND: Final = 0xFF
LENGTH_SHIFT: Final = 8
#: Bytes that travel in the message itself.
IN_PLACE: Final = 56
#: A worker's inbox: calls up to this size arrive without asking first.
INBOX_BYTES: Final = 1 << 16
#: Buffers of a call or result that travel beside it; with more, all travel within.
BUFFERS_MAX: Final = 4096
#: A buffer this big travels beside the pickle, without being copied into it.
OUT_OF_BAND_BYTES: Final = 1 << 16
