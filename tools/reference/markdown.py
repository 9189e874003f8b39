"""Small pieces of Markdown that the pages share."""

import inspect
import sys
from collections.abc import Iterable
from importlib.metadata import version

GENERATED = "*Generated from the source by `make docs`; `make test` checks that it is current.*"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def first_paragraph(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def made_with() -> str:
    """A last line for pages whose text depends on more than our source: the versions that print it."""
    return f"<!-- made with Python {sys.version_info[0]}.{sys.version_info[1]}, typer {version('typer')} -->"


def whole_page(title: str, *parts: str) -> str:
    """A whole generated page."""
    return "\n\n".join([f"# {title}", GENERATED, *(part.strip("\n") for part in parts)]) + "\n"
