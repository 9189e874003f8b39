"""What of the four specifications is still to come, and with which capability.

What is there already says so itself: the docstring of every public name ends in a line `Canonical: symbol, … (guide
n.n)`, and tests declare the codes they provoke with @covers. test_canonical.py checks that nothing is forgotten between
them.
"""

import json
import re
from pathlib import Path

CANONICAL = json.loads((Path(__file__).parent / "canonical.json").read_text())

CHAPTERS_HERE = ("3.", "4.", "5.")
"""Chapters of the guide whose calls are complete."""

MIGRATION = "migration"
PROCESS_SPACE = "process space"
CHECKPOINT = "checkpoint/restore"
CONTEXTS = "process contexts"

SYMBOLS_TO_COME: dict[str, str] = {
    **{call["name"]: MIGRATION for call in CANONICAL["m3ipc_guide"] if call["section"].startswith("6.")},
    **{r["name"]: PROCESS_SPACE for r in CANONICAL["bproc"] if not r["name"].startswith("VMAD_")},
    **dict.fromkeys([*CANONICAL["rump"], *CANONICAL["rump_flags"]], CONTEXTS),
    **dict.fromkeys(CANONICAL["sysv_ipc"], CHECKPOINT),
}
"""Canonical symbol -> the capability that will bring it."""

CODES_TO_COME: dict[str, str] = {}
"""Return code of a call of chapter 3 or 4 -> the capability that will give it, unless a test provokes it already."""

CALL_CODES_TO_COME: dict[tuple[str, str], str] = {
    ("mnx_bkupbind", "OK"): MIGRATION,
}
"""The same for a code of one call only."""


NO_SOURCE = "it takes no source: requests of anyone"
BINDS_HERE = "it binds on this node"

CANNOT_ARISE: dict[tuple[str, str], str] = {
    **{
        (call, code): NO_SOURCE
        for call in ("mnx_rcvrqst", "mnx_rcvrqst_T")
        for code in (
            "EMOLRANGE",
            "EMOLENDPOINT",
            "EMOLSRCDIED",
            "EMOLBADNODEID",
            "EMOLNOVMNODE",
            "EMOLNOPROXY",
            "EMOLNOTCONN",
        )
    },
    **{(call, code): BINDS_HERE for call in ("mnx_bind", "mnx_lclbind") for code in ("EMOLNOVMNODE", "EMOLNOPROXY")},
}
"""A code that the guide lists for a family of calls, but that this one cannot give -> why."""


def calls_here() -> list[dict[str, object]]:
    """The guide's calls of the chapters that are complete, in its order."""
    return [call for call in CANONICAL["m3ipc_guide"] if call["section"].startswith(CHAPTERS_HERE)]


IMAGE_CODES: dict[str, list[str]] = {
    "VMAD_DO_DUMP": ["OK", "EBADF", "EINVAL", "EPERM"],
    "VMAD_DO_UNDUMP": ["OK", "EBADF", "EINVAL", "ENOEXEC", "EPERM"],
    "VMAD_DO_EXECDUMP": ["OK", "EBADF", "EINVAL", "ENOENT", "EACCES"],
    "VMAD_LIB_CLEAR": ["OK", "EPERM"],
    "VMAD_LIB_ADD": ["OK", "EEXIST", "EINVAL", "ENAMETOOLONG", "EPERM"],
    "VMAD_LIB_DEL": ["OK", "ENOENT", "EINVAL", "EPERM"],
    "VMAD_LIB_LIST": ["OK", "ENOSPC"],
    "VMAD_LIB_SIZE": ["OK"],
}
"""Call of the mail about process images -> what it can return: the mail says only -errno, so these are ours."""


def symbols() -> set[str]:
    """All canonical symbols of the four specifications."""
    names = {call["name"] for call in CANONICAL["m3ipc_guide"]} | set(CANONICAL["m3ipc_authors_stub"])
    names |= {request["name"] for request in CANONICAL["bproc"]}
    return names | {name for part in ("rump", "rump_flags", "sysv_ipc") for name in CANONICAL[part]}


def to_come(call: str, code: str) -> str | None:
    """The capability that will provoke this code of this call; None if it must be provoked now."""
    return CALL_CODES_TO_COME.get((call, code)) or CODES_TO_COME.get(code)


def parameters(signature: str) -> list[str]:
    """Parameter names of a C signature of the guide, in order."""
    inner = signature[signature.index("(") + 1 : signature.rindex(")")]
    return [re.findall(r"\w+", part)[-1] for part in inner.split(",") if part.strip() not in ("", "void")]
