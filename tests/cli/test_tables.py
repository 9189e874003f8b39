"""Tables: aligned, narrow, long, and harmless with the names of others in them."""

import subprocess
import sys

import pytest

PROGRAM = """
from drvs.ui.table import Column, number, plain, show, show_pairs
rows = [[i, plain(name)] for i, name in enumerate(NAMES)]
show([number("id"), Column("name", style="name", fold=True)], rows, "Title")
show_pairs([("key", plain(NAMES[0])), ("longer key", "value")])
"""


def shown(names: list[str], **environment: str) -> list[str]:
    """What a table of these names looks like in a pipe."""
    program = f"NAMES = {names!r}\n{PROGRAM}"
    environment = {"PATH": "/usr/bin", "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_a_table_in_a_pipe_has_no_colours_and_no_padding() -> None:
    lines = shown(["server", "b"])
    assert lines[:2] == ["Title", "id   name"]
    assert lines[3:5] == [" 0   server", " 1   b"]
    assert lines[5:] == ["key         server", "longer key  value"]


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "[/]", "[red", "a\\b"])
def test_names_of_others_are_shown_as_they_are(name: str) -> None:
    lines = shown([name])
    assert lines[3] == f" 0   {name}"


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    assert shown(["a\x1b[31mb\nc"])[3] == " 0   a?[31mb?c"


def test_without_utf8_it_is_ascii() -> None:
    assert all(line.isascii() for line in shown(["x"], PYTHONIOENCODING="ascii"))


def test_a_long_table_is_laid_out_the_same() -> None:
    lines = shown([f"[name{i}]" for i in range(600)])
    assert lines[0] == " id   name"
    assert lines[1:3] == ["  0   [name0]", "  1   [name1]"]
    assert lines[600] == "599   [name599]"


def test_a_narrow_terminal_folds_what_may_fold() -> None:
    lines = shown(["x" * 100], COLUMNS="40")
    assert all(len(line) <= 40 for line in lines)
    assert sum(line.count("x") for line in lines) == 200
