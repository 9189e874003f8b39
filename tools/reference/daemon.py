"""docs/reference/daemon.md: noded's control protocol."""

import typing

import msgspec

from drvs.daemon import protocol

from markdown import first_paragraph, table, whole_page

INTRODUCTION = """
noded is the one process of a node that owns what is privileged: the regions, the table of bindings, and the watch
over bound processes. No message passes through it. It listens on `noded.sock` in the runtime directory.

Programs use the Python API, `drvs.compat.mnx` or the command line; this page is for those who write another client.

One JSON object in one `SOCK_SEQPACKET` packet, `{"v": 1, "op": "bind", …}`, is answered by one object `{"v": 1,
"code": 0, "error": null, …}`, one at a time per connection. Descriptors travel beside the answer by `SCM_RIGHTS`.
Calls that wait (`timeout_ms`: -1 for ever, 0 not at all) are answered when they are done; closing the connection
cancels them. Callers are judged by the credentials that Linux gives of the socket's other end, never by what they
say.
"""


def fields(kind: type[msgspec.Struct]) -> str:
    """The fields of a request, required ones first, with types and defaults."""
    names = typing.get_type_hints(kind)
    words = []
    for field in msgspec.structs.fields(kind):
        if field.name == "v":
            continue
        hint = names[field.name]
        shown = getattr(hint, "__name__", str(hint)) if hint in (int, str, bool) else str(hint)
        default = "" if field.default is msgspec.NODEFAULT else f" = {field.default!r}"
        words.append(f"`{field.name}: {shown}{default}`")
    return ", ".join(words)


def page() -> str:
    """The whole page."""
    rows = []
    for kind in protocol.REQUESTS:
        tag = str(kind.__struct_config__.tag)
        again = "yes" if tag in protocol.IDEMPOTENT else "no"
        rows.append([f"`{tag}`", first_paragraph(kind), fields(kind), again])
    return whole_page(
        "noded and its control protocol",
        INTRODUCTION,
        "## Requests",
        "The last column: whether a client may send it again after noded was restarted in between.",
        table(["op", "does", "fields", "again?"], rows),
    )
