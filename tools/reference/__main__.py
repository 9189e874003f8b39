"""Write or check the generated pages of docs/reference/.

    python tools/reference --write      rewrite them
    python tools/reference --check      exit 1 and name those that are not what would be written

What the pages say is read from the source (docstrings, tables, the command line's own help, the tests), so that they
cannot say anything else. `make docs` writes them; `make test` checks them.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import calls
import daemon
import environment
import errors
import python

import cli

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "calls.md": calls.page,
    "cli.md": cli.page,
    "daemon.md": daemon.page,
    "environment.md": environment.page,
    "errors.md": errors.page,
    "python.md": python.page,
}


def stale() -> list[str]:
    """The pages that are not what would be written now."""
    return [
        name for name, page in PAGES.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != page()
    ]


def main() -> int:
    """Write or check the pages, as the arguments say."""
    if "--write" in sys.argv:
        for name, page in PAGES.items():
            (FOLDER / name).write_text(page())
        return 0
    for name in stale():
        print(f"docs/reference/{name} is not current: run `make docs`", file=sys.stderr)
    return 1 if stale() else 0


if __name__ == "__main__":
    sys.exit(main())
