"""What a reader may rely on: short functions and files, docstrings, names in their place, links that lead somewhere."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "csrc", "tests", "tools", "examples", "docs", "bench", "systemd", ".ci")

FUNCTION_LINES, FILE_LINES = 70, 500
# Longer, each for a reason that its first paragraph gives.
LONG_FILES: set[str] = {"src/drvs/core/_core.pyi"}
LONG_FUNCTIONS: set[str] = set()

CANONICAL = re.compile(r"\b(mnx_\w+|bproc_\w+|rump_pub_\w+|rumpclient_\w+|EMOL[A-Z]\w*)")


C_FACE = ("include", "lib", "pair")  # folders of csrc: header, library, and the programs that the benchmark times

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
CODES = ROOT / "src/drvs/base/codes.py"  # the table that Code.canonical gives these names from


def files(*suffixes: str) -> list[Path]:
    """The project's files with these suffixes, generated ones left out."""
    found = [path for path in ROOT.glob("*") if path.is_file()]
    found += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(p for p in found if p.suffix in suffixes and not {"__pycache__", ".hypothesis"} & set(p.parts))


def relative(path: Path) -> str:
    """The path as it is written in reports and allow-lists."""
    return str(path.relative_to(ROOT))


# ---- sizes -------------------------------------------------------------------------------------------------------


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of each function of a Python file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def c_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of each function of a C file: from a line that opens a body to the brace in column 0."""
    name, start = "", 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not name and (match := re.match(r"[a-z][\w\s*]*?\b(\w+)\(", line)) and not line.rstrip().endswith(";"):
            name, start = match[1], number
        elif name and line.startswith(";"):
            name = ""
        elif name and line.startswith("}"):
            yield name, number - start + 1
            name = ""


def test_functions_are_short() -> None:
    sizes = [(relative(p), *found) for p in files(".py") for found in python_functions(p)]
    sizes += [(relative(p), *found) for p in files(".c", ".h") for found in c_functions(p)]
    long = [(p, name, n) for p, name, n in sizes if n > FUNCTION_LINES and f"{p}:{name}" not in LONG_FUNCTIONS]
    assert not long, "\n".join(f"{p}: {name} has {n} lines" for p, name, n in long)


def test_files_are_short() -> None:
    sizes = {relative(p): len(p.read_text().splitlines()) for p in files(".py", ".c", ".h", ".pyi")}
    long = [f"{name}: {lines} lines" for name, lines in sizes.items() if lines > FILE_LINES and name not in LONG_FILES]
    assert not long, "\n".join(long)


# ---- documentation -----------------------------------------------------------------------------------------------


def documented_methods(trees: list[ast.Module]) -> dict[str, tuple[set[str], list[str]]]:
    """For each class of ours: the methods that have a docstring, and the names of its bases."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {c.name: (_documented_in(c), [ast.unparse(base).split(".")[-1] for base in c.bases]) for c in classes}


def _documented_in(node: ast.ClassDef) -> set[str]:
    return {f.name for f in node.body if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(f)}


class Undocumented:
    """Finds public classes, functions and methods without a docstring; an override may rely on its base's."""

    def __init__(self, paths: list[Path]) -> None:
        self.trees = {path: ast.parse(path.read_text()) for path in paths}
        self.classes = documented_methods(list(self.trees.values()))

    def everywhere(self) -> Iterator[str]:
        """One line for each thing without a docstring."""
        for path, tree in self.trees.items():
            if not ast.get_docstring(tree) and path.stat().st_size:
                yield f"{relative(path)}: the module"
            yield from self._within(tree, relative(path))

    def _within(self, parent: ast.Module | ast.ClassDef, where: str) -> Iterator[str]:
        for node in parent.body:
            if isinstance(node, Definition) and not node.name.startswith("_"):
                if not ast.get_docstring(node) and not self._explained_elsewhere(node, parent):
                    yield f"{where}: {node.name}"
                if isinstance(node, ast.ClassDef):
                    yield from self._within(node, f"{where}: {node.name}")

    def _explained_elsewhere(self, node: ast.AST, parent: ast.Module | ast.ClassDef) -> bool:
        if isinstance(node, ast.ClassDef) or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        if any(ast.unparse(d).endswith(("overload", ".setter", ".deleter")) for d in node.decorator_list):
            return True
        return isinstance(parent, ast.ClassDef) and self._inherits(parent.name, node.name)

    def _inherits(self, class_name: str, method: str) -> bool:
        methods, bases = self.classes.get(class_name, (set(), []))
        return method in methods or any(self._inherits(base, method) for base in bases if base != class_name)


def test_every_public_thing_has_a_docstring() -> None:
    found = list(Undocumented([path for path in files(".py") if path.is_relative_to(ROOT / "src")]).everywhere())
    assert not found, "\n".join(found)


def test_every_file_starts_by_saying_what_it_is() -> None:
    silent = [relative(p) for p in files(".c", ".h") if not p.read_text().startswith("/*")]
    silent += [
        relative(p)
        for p in files(".py")
        if not p.is_relative_to(ROOT / "src") and p.stat().st_size and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert not silent, "\n".join(silent)


SLUG_DROPS = re.compile(r"[^\w\- ]")


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make."""
    headings = re.findall(r"^#+ +(.*?) *$", page.read_text(), re.M)
    return {SLUG_DROPS.sub("", heading.lower().replace("`", "")).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    """The relative links of a page, code blocks left out."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:", target):
            yield target


def test_links_between_documents_resolve() -> None:
    broken = []
    for page in files(".md"):
        for target in links(page):
            name, _, anchor = target.partition("#")
            other = (page.parent / name).resolve() if name else page
            if not other.exists() or (anchor and other.suffix == ".md" and anchor not in anchors(other)):
                broken.append(f"{relative(page)}: {target}")
    assert not broken, "\n".join(broken)


# ---- names and leftovers -----------------------------------------------------------------------------------------


def code_names(path: Path) -> Iterator[str]:
    """Identifiers and strings of a Python file, docstrings and comments left out."""
    text = path.read_text()
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Module | Definition)]
    docs = {node.body[0].lineno for node in nodes if ast.get_docstring(node)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.STRING) and token.start[0] not in docs:
            yield token.string


def c_code(path: Path) -> str:
    """A C file without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)


def test_canonical_names_stand_only_where_they_belong() -> None:
    """In compat, in the C face and in documentation; everything else has names of its own."""
    strangers = []
    for path in files(".py", ".pyi"):
        if path.is_relative_to(ROOT / "src") and not path.is_relative_to(ROOT / "src/drvs/compat") and path != CODES:
            strangers += [f"{relative(path)}: {n}" for name in code_names(path) for n in CANONICAL.findall(name)]
    for path in files(".c", ".h"):
        if path.is_relative_to(ROOT / "csrc") and path.relative_to(ROOT / "csrc").parts[0] not in C_FACE:
            strangers += [f"{relative(path)}: {name}" for name in CANONICAL.findall(c_code(path))]
    assert not strangers, "\n".join(strangers)


def test_tests_wait_for_conditions_and_never_sleep() -> None:
    sleep = re.compile(r"time\.sleep\(|asyncio\.sleep\((0\.\d|[1-9])|\busleep\(|\bnanosleep\(|from time import.*sleep")
    found = [
        f"{relative(p)}:{number}: {line.strip()}"
        for p in files(".py", ".c")
        if p.is_relative_to(ROOT / "tests") or p.is_relative_to(ROOT / "csrc/test")
        for number, line in enumerate(p.read_text().splitlines(), 1)
        if sleep.search(line) and p != Path(__file__)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("unfinished work belongs in the issue tracker", r"\b(TODO|FIXME|XXX)\b"),
        ("paths of one machine", r"(?<![\w.])/(work|root/\.|home/\w+)/"),
        ("trailing blanks", r"[ \t]+$"),
    ],
)
def test_nothing_is_left_lying_about(what: str, pattern: str) -> None:
    found = [
        f"{relative(p)}:{number}: {line.strip()[:100]}"
        for p in files(".py", ".pyi", ".c", ".h", ".md", ".toml", ".service")
        for number, line in enumerate(p.read_text().splitlines(), 1)
        if re.search(pattern, line) and p != Path(__file__)
    ]
    assert not found, f"{what}:\n" + "\n".join(found)
