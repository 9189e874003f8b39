"""The documents say what is there: generated pages are current, exported names are documented, examples in them run."""

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_generated_reference_pages_are_current() -> None:
    command = [sys.executable, str(ROOT / "tools/reference"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module_name", ["drvs", "drvs.aio"])
def test_every_exported_name_exists_and_is_documented(module_name: str) -> None:
    module = __import__(module_name, fromlist=["_"])
    page = (ROOT / "docs/reference/python.md").read_text() + (ROOT / "docs/reference/errors.md").read_text()
    for name in module.__all__:
        thing = getattr(module, name)
        assert name in dir(module)
        if isinstance(thing, type) or callable(thing):
            assert inspect.getdoc(thing), f"{name} has no docstring"
            assert f"## {name}\n" in page or f"`{name}`" in page, f"{name} is not in docs/reference"


@pytest.mark.parametrize("example", ["hello.py", "warm_workers.py"])
def test_the_programs_in_the_readme_are_examples(example: str) -> None:
    program = (ROOT / "examples" / example).read_text()
    body = program[program.index("import ") :].rstrip()
    assert body in (ROOT / "README.md").read_text()


def test_every_environment_variable_is_documented() -> None:
    page = (ROOT / "docs/reference/environment.md").read_text()
    sources = [*(ROOT / "src").rglob("*.py"), ROOT / "setup.py", ROOT / "tools/prepare", ROOT / ".ci/run"]
    used = {name for path in sources for name in re.findall(r"\bDRVS_[A-Z_]*[A-Z]\b", path.read_text())}
    used.discard("DRVS_NO_INIT")  # a constant of the guide
    assert not {name for name in used if f"`{name}" not in page}


def command_lines() -> list[tuple[str, list[str]]]:
    """Every line of the documents' shell blocks that calls drvs, with the page it is on."""
    found = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S):
            lines = [shlex.split(line, comments=True) for line in block.splitlines()]
            found += [(page.name, words) for words in lines if words and words[0] == "drvs"]
    return found


@pytest.mark.parametrize(("page", "words"), command_lines())
def test_commands_in_the_documents_exist_with_their_options(page: str, words: list[str]) -> None:
    import typer

    from drvs.cli.main import app

    command = typer.main.get_command(app)
    rest = words[1:]
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, f"{page}: {' '.join(words)}"
        command = command.commands[rest.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    for word in rest[: rest.index("--")] if "--" in rest else rest:
        assert not word.startswith("-") or word in options, f"{page}: {' '.join(words)}: {word}"
