"""Says which return code of which canonical call a test provokes.

    @covers("mnx_send", "EMOLDSTDIED", "EMOLENDPOINT")
    @covers(("mnx_receive", "mnx_receive_T"), "EMOLSRCDIED")
    def test_...

The decorator changes nothing at run time. tools/calls_table.py reads it from the source (so the arguments are literals,
or names that the same module assigns a literal to) and writes the tests into docs/reference/calls.md; test_canonical.py
checks that the table is complete.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Function = ast.FunctionDef | ast.AsyncFunctionDef
Test = TypeVar("Test", bound=Callable[..., object])


def covers(call: str | tuple[str, ...], *codes: str) -> Callable[[Test], Test]:
    """Declare that a test provokes these codes ("OK" among them) of this call, or of each of these calls."""
    assert call
    assert codes, "name the codes: OK if it is only success"
    return lambda test: test


@dataclass(frozen=True)
class Cover:
    """One declaration: this test provokes this code of this call."""

    call: str
    code: str
    test: str


def declared(tests: Path) -> Iterator[Cover]:
    """All declarations in the test files below a folder, in order."""
    for path in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(path.read_text(), str(path))
        constants = _constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, Function):
                test = f"{path.relative_to(tests.parent)}::{node.name}"
                yield from _of_function(node, test, constants)


def _of_function(node: Function, test: str, constants: dict[str, object]) -> Iterator[Cover]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "covers":
            calls, *codes = (part for argument in decorator.args for part in _values(argument, constants))
            for call in calls if isinstance(calls, tuple | list) else [calls]:
                for code in codes:
                    yield Cover(str(call), str(code), test)


def _values(argument: ast.expr, constants: dict[str, object]) -> list[object]:
    starred = isinstance(argument, ast.Starred)
    inner = argument.value if isinstance(argument, ast.Starred) else argument
    value = constants[inner.id] if isinstance(inner, ast.Name) else ast.literal_eval(inner)
    return list(value) if starred and isinstance(value, tuple | list) else [value]


def _constants(tree: ast.Module) -> dict[str, object]:
    found: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found
