"""The kernel core, bound to Python: messages, endpoints and regions as the C code knows them.

The layers above build on these three types; programs use what `drvs` itself exports.
"""

from drvs.core._core import (
    CODES,
    LAYOUT,
    VERSION,
    Endpoint,
    Message,
    Proxy,
    Region,
    Span,
    copy_bytes,
    decode_command,
    doze,
    encode_command,
    is_earlier,
    now_ns,
    refuse_command,
    set_copy_fallback,
    set_error_factory,
    span_of,
    this_cpu,
)

__all__ = [
    "CODES",
    "LAYOUT",
    "VERSION",
    "Endpoint",
    "Message",
    "Proxy",
    "Region",
    "Span",
    "copy_bytes",
    "decode_command",
    "doze",
    "encode_command",
    "is_earlier",
    "now_ns",
    "refuse_command",
    "set_copy_fallback",
    "set_error_factory",
    "span_of",
    "this_cpu",
]
