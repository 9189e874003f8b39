"""A module imports only from its own layer and those below it, and what must stay light stays light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "drvs"

LAYERS = [
    {"base"},
    {"core"},
    {"daemon"},
    {"api", "hooks", "__init__"},
    {"compat", "procview", "procspace", "aio", "cluster"},
    {"executor"},
    {"cli", "ui", "demo", "bench", "lab", "sim"},
]
RANK = {package: rank for rank, layer in enumerate(LAYERS) for package in layer}
HEAVY = {"msgspec", "rich", "typer", "asyncio", "multiprocessing", "numpy"}


def package_of(path: Path) -> str:
    """The package directly below drvs that a file belongs to (its stem, for a module there)."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_packages(path: Path) -> Iterator[tuple[int, str]]:
    """Line and package of every import of ours in a file, those inside functions included."""
    module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = _from_names(node, module, is_package)
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "drvs":
                yield node.lineno, parts[1] if len(parts) > 1 and parts[1] in RANK else "__init__"


def _from_names(node: ast.ImportFrom, module: str, is_package: bool) -> list[str]:
    base = node.module or ""
    if node.level:
        ancestors = module.split(".")[: len(module.split(".")) - node.level + is_package]
        base = ".".join([*ancestors, base] if base else ancestors)
    return [f"drvs.{alias.name}" for alias in node.names] if base == "drvs" else [base]


def test_every_package_has_a_layer() -> None:
    assert {package_of(path) for path in SOURCE.rglob("*.py")} <= set(RANK)


def test_imports_go_down() -> None:
    upward = [
        f"{path.relative_to(ROOT)}:{line}: {package_of(path)} imports {package}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line, package in imported_packages(path)
        if RANK[package] > RANK[package_of(path)] and path != SOURCE / "__init__.py"
    ]
    assert not upward, "\n".join(upward)


def test_the_faces_are_reached_from_nowhere_below() -> None:
    """`drvs/__init__.py` is lazy and may name what is below the faces, never the faces themselves."""
    named = {package for _, package in imported_packages(SOURCE / "__init__.py")}
    assert not named & LAYERS[-1]


def test_the_core_is_plain_c() -> None:
    included = {
        f"{path.name}: {line}"
        for path in (ROOT / "csrc" / "core").glob("*.[ch]")
        for line in re.findall(r"#include\s+\S+", path.read_text())
        if "Python.h" in line or "../" in line
    }
    assert not included


def test_shared_structures_are_declared_in_one_place() -> None:
    """Only layout.h knows an offset: no other file of the core declares an aligned struct."""
    strangers = [
        path.name
        for path in (ROOT / "csrc" / "core").glob("*.[ch]")
        if path.name != "layout.h" and re.search(r"^struct\s+\w+\s*\{[^}]*_Alignas", path.read_text(), re.M)
    ]
    assert not strangers


@pytest.mark.parametrize("module", ["drvs", "drvs.base", "drvs.core"])
def test_importing_it_pulls_in_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
