"""docs/reference/cli.md: every command with its help, and the exit statuses."""

from typing import Any

import typer

from drvs.cli import exits
from drvs.cli.main import app

from markdown import made_with, whole_page


def commands(command: Any, name: str) -> list[tuple[str, Any]]:
    """A command and all below it, with the words that call them."""
    found = [(name, command)]
    for word, sub in sorted(getattr(command, "commands", {}).items()):
        if not sub.hidden:
            found += commands(sub, f"{name} {word}")
    return found


def help_text(command: Any, name: str) -> str:
    """What `--help` prints, 110 columns wide."""
    context = command.context_class(
        command, info_name=name, terminal_width=110, max_content_width=110, help_option_names=["-h", "--help"]
    )
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def page() -> str:
    """The whole page."""
    sections = [
        f"## {name}\n\n```\n{help_text(command, name)}\n```"
        for name, command in commands(typer.main.get_command(app), "drvs")
    ]
    return whole_page("The command line", *sections, "## Exit status", f"```\n{exits.TEXT}\n```", made_with())
