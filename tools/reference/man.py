"""docs/man: a manual page for each call that works, and what `make install-c` installs of them.

What a call does comes from its docstring in drvs.compat.mnx, its C signature from m3ipc.h, its codes from the guide's
list (tests/canonical.json) or, for a call that the guide leaves out, from noded's handler, and what a code means from
the table of codes.
"""

import inspect
import re
from pathlib import Path

import drvs
from drvs.base.codes import GUIDE_ALIASES, Code
from drvs.compat import mnx
from drvs.daemon import calls as handlers

from calls import CANONICAL, to_come

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = ROOT / "csrc" / "include" / "m3ipc.h"
GUIDE = {str(call["name"]): call for call in CANONICAL["m3ipc_guide"]}
BY_CANONICAL = {code.canonical: code for code in Code} | GUIDE_ALIASES

#: What chapter 3 has beside the guide's lists: our own refusals, and those of later versions.
ALSO_IN_IPC = ["EMOLAGAIN", "EMOLLOCKED", "EMOLMSGSIZE", "EMOLCALLDENIED", "EMOLTRAPDENIED", "EMOLSHUTDOWN"]

#: A call that the guide leaves out -> the request to noded that says its codes.
REQUESTS = {
    "mnx_tbind": "bind",
    "mnx_wait4bind_T": "wait4bind",
    "mnx_wait4bindep": "wait4bindep",
    "mnx_wait4bindep_T": "wait4bindep",
    "mnx_wait4unbind": "wait4unbind",
    "mnx_wait4unbind_T": "wait4unbind",
    "mnx_unbind_T": "unbind",
    "mnx_src_notify": "notify",
    "mnx_ntfy_value": "notify",
    "mnx_hdw_notify": "notify",
    "mnx_wakeup": "wakeup",
}

#: And those that it answers by itself.
OWN_CODES = {
    "mnx_relay": ["EMOLNOTBIND", "EMOLSRCDIED", "EMOLDSTDIED", "EMOLENDPOINT", "EMOLPROCSTS", *ALSO_IN_IPC],
    "mnx_tbind": ["EMOLGRPLEADER"],
}


def prototypes() -> dict[str, tuple[str, str]]:
    """Call -> its result type and its parameters, as m3ipc.h declares them; chapter 6 is left out."""
    text = HEADER.read_text().split("/* ---- 6:")[0]
    found = re.findall(r"^M3IPC_API (int|long) (mnx_\w+)\((.*?)\);", text, re.M)
    return {name: (result, parameters) for result, name, parameters in found if hasattr(mnx, name)}


def documentation(name: str) -> list[str]:
    """The paragraphs of a call's docstring, each on one line, without the last one (`Canonical: …`)."""
    doc = inspect.getdoc(getattr(mnx, name)) or ""
    return [" ".join(part.split()) for part in doc.split("\n\n") if not part.startswith("Canonical:")]


def codes_of(name: str) -> list[str]:
    """The codes that a call may return, by their canonical names."""
    found = [code for code in GUIDE[name]["codes"] if code != "OK"] if name in GUIDE else []
    if name in REQUESTS:
        found += handler_codes(REQUESTS[name])
    if name in GUIDE and str(GUIDE[name]["section"]).startswith("3.1") and name not in ("mnx_vcopy", "mnx_notify"):
        found += ALSO_IN_IPC
    if "receive" in name or "rcvrqst" in name:
        found.append("EMOLWOKENUP")
    found += OWN_CODES.get(name, [])
    known = [code for code in dict.fromkeys(found) if code in BY_CANONICAL]
    return sorted((code for code in known if not to_come(name, code)), key=lambda code: -int(BY_CANONICAL[code]))


def handler_codes(op: str) -> list[str]:
    """What the docstring of noded's handler says: "Codes: PERM, DRVSINIT, …"."""
    handler = next(h for kind, h in handlers.HANDLERS.items() if kind.__struct_config__.tag == op)
    text = inspect.getdoc(handler.run) or ""
    listed = text.partition("Codes:")[2]
    return [Code[word].canonical for word in re.findall(r"\b[A-Z]{4,}\b", listed) if word in Code.__members__]


# ---- troff ----------------------------------------------------------------------------------------------------------


def troff(text: str) -> str:
    """Text with what troff would take for its own escaped; `code` in bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`]+)`", r"\\fI\1\\fR", text)
    text = re.sub(r"\b(mnx_\w+)\b", r"\\fB\1\\fR(3)", text)
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.splitlines())


def synopsis(name: str, result: str, parameters: str) -> str:
    """The prototype, parameter names in italics."""
    marked = re.sub(r"(\w+)(\[\])?(?=,|$)", r"\\fI\1\\fB\2", parameters) if parameters != "void" else parameters
    return f".nf\n\\fB#include <m3ipc.h>\\fR\n.PP\n\\fB{result} {name}({marked});\\fR\n.fi"


def errors(name: str) -> str:
    """The list of codes."""
    parts = []
    for code in codes_of(name):
        found = BY_CANONICAL[code]
        parts.append(f".TP\n\\fB{troff(code)}\\fR ({int(found)})\n{troff(found.meaning)}.".replace("(-", "(\\-"))
    return "\n".join(parts)


def related(name: str, names: list[str]) -> str:
    """Other forms of the call, and the overview."""
    stem = name.removesuffix("_T")
    others = [n for n in names if n != name and n.removesuffix("_T") == stem]
    return ",\n".join([f".BR {n} (3)" for n in others] + [".BR m3ipc (7)"]).replace(" (3),", " (3),")


def result_text(name: str) -> str:
    """What comes back."""
    gives = "endpoint" in documentation(name)[0] and ("return" in documentation(name)[0].lower() or "bind" in name)
    value = "the endpoint" if gives and "unbind" not in name else "0 (\\fBOK\\fR)"
    return (
        f"On success {value}, with 0 in \\fBmnx_errno\\fR. On error one of the codes below, which \\fBmnx_errno\\fR has"
        " as well: an endpoint may be negative too."
    )


def call_page(name: str, names: list[str]) -> str:
    """One page."""
    result, parameters = prototypes()[name]
    purpose, *more = documentation(name)
    where = (
        f"M3\\-IPC 1.6 Programmer's Guide, {GUIDE[name]['section']}." if name in GUIDE else "The authors' stub library."
    )
    short = troff(purpose.rstrip(".")[:1].lower() + purpose.rstrip(".")[1:]).replace("\\fI", "").replace("\\fR", "")
    parts = [
        f'.\\" Generated from the source by `make docs`.\n.TH {name.upper()} 3 "" "drvs {drvs.__version__}" "M3\\-IPC"',
        f".SH NAME\n{name} \\- {short.replace('(3)', '').replace(chr(92) + 'fB', '')}",
        f".SH SYNOPSIS\n{synopsis(name, result, parameters)}",
        ".SH DESCRIPTION\n" + "\n.PP\n".join(troff(part) for part in [purpose, *more]),
        f".SH RETURN VALUE\n{result_text(name)}",
        f".SH ERRORS\n{errors(name)}",
        f".SH STANDARDS\n{where}",
        f".SH SEE ALSO\n{related(name, names)}",
    ]
    return "\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """Path below docs/ -> text, for every call that works."""
    names = list(prototypes())
    return {f"man/man3/{name}.3": call_page(name, names) for name in names}
