"""drvs completion: what bash, zsh and fish need in order to complete the commands.

The scripts ask `drvs` itself through the variable that typer answers to, so they never grow stale.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from drvs.cli.failure import fail

_BASH = """\
_drvs_completion() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _DRVS_COMPLETE=complete_bash $1 ) )
    return 0
}
complete -o default -F _drvs_completion drvs
"""

_ZSH = """\
#compdef drvs
_drvs_completion() {
    eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _DRVS_COMPLETE=complete_zsh drvs)
}
compdef _drvs_completion drvs
"""

_FISH = (
    "complete --command drvs --no-files"
    ' --arguments "(env _DRVS_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args'
    ' _TYPER_COMPLETE_ARGS=(commandline -cp) drvs)"'
    ' --condition "env _DRVS_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=is-args'
    ' _TYPER_COMPLETE_ARGS=(commandline -cp) drvs"\n'
)

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

_PLACES = {
    "bash": ("XDG_DATA_HOME", ".local/share", "bash-completion/completions/drvs"),
    "zsh": ("ZDOTDIR", "", ".zfunc/_drvs"),
    "fish": ("XDG_CONFIG_HOME", ".config", "fish/completions/drvs.fish"),
}

_LAST_STEP = {
    "bash": "Open a new shell. (The package bash-completion must be installed; else add to ~/.bashrc: source {path})",
    "zsh": "In ~/.zshrc, before compinit: fpath+={folder}; autoload -Uz compinit; compinit. Then open a new shell.",
    "fish": "Open a new shell.",
}


class Shell(StrEnum):
    """A shell that can be taught to complete."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


ShellArgument = Annotated[
    Shell | None, typer.Argument(help="The shell; default: the one in SHELL.", show_default=False)
]

group = typer.Typer(help="Complete drvs commands in bash, zsh and fish.", no_args_is_help=True, rich_markup_mode=None)


def _which(shell: Shell | None) -> str:
    name = shell.value if shell else os.path.basename(os.environ.get("SHELL", ""))
    if name not in SCRIPTS:
        fail(f"cannot tell the shell from SHELL={name!r}", "Name it: drvs completion show bash|zsh|fish", 2)
    return name


def place(shell: str) -> Path:
    """Return the file in which that shell looks for the completion of `drvs`."""
    variable, default, rest = _PLACES[shell]
    base = os.environ.get(variable) or str(Path.home() / default)
    return Path(base) / rest


@group.command()
def show(shell: ShellArgument = None) -> None:
    """Print the completion script."""
    typer.echo(SCRIPTS[_which(shell)], nl=False)


@group.command()
def install(shell: ShellArgument = None) -> None:
    """Write the completion script to where the shell looks for it. Nothing else is touched."""
    name = _which(shell)
    path = place(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPTS[name])
    typer.echo(f"Wrote {path}. " + _LAST_STEP[name].format(path=path, folder=path.parent))
