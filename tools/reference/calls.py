"""docs/reference/calls.md: the calls of the guide's chapters 3 to 5, our names, their codes, their tests.

The guide's list comes from tests/canonical.json, our names from the `Canonical:` lines of docstrings, the tests from
their @covers decorators.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from canonical_map import CANNOT_ARISE, CANONICAL, IMAGE_CODES, SYMBOLS_TO_COME, calls_here, to_come
from support.covers import declared

from markdown import table, whole_page

SOURCE = ROOT / "src"
CANONICAL_LINE = re.compile(r"^\s*Canonical:\s*(.*)$", re.M)

BEYOND = "The authors' header has them, the guide leaves them out."

IMAGES = """
The calls of BProc's interface to VMADump, as the mail describes them. In `drvs.compat.bproc` they are functions with
ints in and negative errno out, and `bproc_syscall(number, …)`.
"""

INTRODUCTION = """
Every call of chapters 3 to 5 of the *M3-IPC 1.6 Programmer's Guide*. Each is found under its own name, with ints in
and codes out, in `drvs.compat.mnx`; the column *here* names its form in the Python API, which raises exceptions
instead ([errors.md](errors.md)). "Later" marks a code that needs a capability which is still to
come, "cannot arise" one that the guide lists for a family of calls but that this one has no argument for.
"""


def public_names() -> dict[str, list[str]]:
    """Canonical symbol -> our public names, from the `Canonical:` lines of docstrings (the API's, not compat's)."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted([*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")]):
        if not {"compat", "daemon"} & set(path.parts):
            for name, doc in _documented(ast.parse(path.read_text()), _module(path)):
                for line in CANONICAL_LINE.findall(doc):
                    for symbol in re.findall(r"\b(?:mnx|bproc|VMAD|rump\w*?)_\w+", line):
                        if name not in found[symbol]:
                            found[symbol].append(name)
    return {symbol: sorted(names, key=lambda name: (".aio." in name, name)) for symbol, names in found.items()}


def _module(path: Path) -> str:
    """The package a user imports a file's names from: drvs for the API and the core, the package itself for others."""
    package = path.relative_to(SOURCE).parts[1].removesuffix(".py")
    if package == "procspace":
        return "drvs.procspace.image"
    return "drvs" if package in ("api", "core", "__init__") else f"drvs.{package}"


def _documented(parent: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{node.name}"
            yield name, ast.get_docstring(node) or ""
            if isinstance(node, ast.ClassDef):
                yield from _documented(node, name)


def tests_by_code() -> dict[tuple[str, str], list[str]]:
    """(call, code) -> the tests that provoke it."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cover in declared(ROOT / "tests"):
        if cover.test not in found[cover.call, cover.code]:
            found[cover.call, cover.code].append(cover.test)
    return dict(found)


def overview(names: dict[str, list[str]]) -> str:
    """The table of all calls."""
    rows = []
    for call in calls_here():
        name = str(call["name"])
        here = ", ".join(f"`{ours}`" for ours in names.get(name, [])) or "**missing**"
        rows.append([str(call["section"]), f"[`{name}`](#{name.lower()})", here])
    return table(["guide", "call", "here"], rows)


def test_cell(call: str, code: str, tests: dict[tuple[str, str], list[str]]) -> str:
    """The tests of a code of a call as a cell of its table."""
    if found := tests.get((call, code)):
        places = [test.partition("::") for test in found[:3]]
        return ", ".join(f"[`{name}`](../../{path})" for path, _, name in places)
    if reason := CANNOT_ARISE.get((call, code)):
        return f"cannot arise: {reason}"
    capability = to_come(call, code)
    return f"later: {capability}" if capability else "**missing**"


def beyond(names: dict[str, list[str]], tests: dict[tuple[str, str], list[str]]) -> str:
    """The table of the calls that the authors' header has and the guide leaves out."""
    rows = []
    for name in CANONICAL["m3ipc_authors_stub"]:
        if name in SYMBOLS_TO_COME:
            rows.append([f"`{name}`", "", f"later: {SYMBOLS_TO_COME[name]}"])
            continue
        codes = sorted(code for call, code in tests if call == name)
        cells = "; ".join(f"{code}: {test_cell(name, code, tests)}" for code in codes)
        rows.append([f"`{name}`", ", ".join(f"`{ours}`" for ours in names.get(name, [])), cells or "**missing**"])
    return table(["call", "here", "codes and their tests"], rows)


def images(names: dict[str, list[str]], tests: dict[tuple[str, str], list[str]]) -> str:
    """The table of the calls for process images."""
    rows = []
    for request in CANONICAL["bproc"]:
        name = request["name"]
        for index, code in enumerate(IMAGE_CODES.get(name, [])):
            here = ", ".join(f"`{ours}`" for ours in names.get(name, [])) or "**missing**"
            first = [request["number"], f"`{name}`", here] if not index else ["", "", ""]
            rows.append([*first, code, test_cell(name, code, tests)])
    return table(["number", "call", "here", "result", "tests"], rows)


def page() -> str:
    """The whole page."""
    names, tests = public_names(), tests_by_code()
    parts = [INTRODUCTION, overview(names)]
    for call in calls_here():
        name, codes = str(call["name"]), [str(code) for code in call["codes"]]  # type: ignore[attr-defined]
        parts += [f"## {name}", f"`{call['signature']}` (guide {call['section']})"]
        codes = codes if "OK" in codes else ["OK", *codes]
        parts.append(table(["code", "tests"], [[code, test_cell(name, code, tests)] for code in codes]))
    parts += ["## Calls beyond the guide", BEYOND, beyond(names, tests)]
    parts += ["## Calls for process images", IMAGES, images(names, tests)]
    return whole_page("Calls of the guide, their names here, their codes and the tests", *parts)
