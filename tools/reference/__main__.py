"""Write or check the generated pages of docs/reference/ and docs/man/.

    python tools/reference --write      rewrite them
    python tools/reference --check      exit 1 and name those that are not what would be written

What the pages say is read from the source (docstrings, tables, the command line's own help, the tests), so that they
cannot say anything else. `make docs` writes them; `make test` checks them.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import man

import calls
import cli
import daemon
import environment
import errors
import python

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"

PAGES: dict[str, Callable[[], str]] = {
    "calls.md": calls.page,
    "cli.md": cli.page,
    "daemon.md": daemon.page,
    "environment.md": environment.page,
    "errors.md": errors.page,
    "python.md": python.page,
}


def pages() -> dict[str, str]:
    """Path below docs/ -> text, of every generated page."""
    return {f"reference/{name}": page() for name, page in PAGES.items()} | man.pages()


def stale() -> list[str]:
    """The pages that are not what would be written now, or would not be written at all."""
    wanted = pages()
    changed = [name for name, text in wanted.items() if not _current(DOCS / name, text)]
    return changed + [name for name in written_before() if name not in wanted]


def _current(path: Path, wanted: str) -> bool:
    """Whether a page is as wanted, or was made with other versions of what prints it, and so cannot be judged here."""
    text = path.read_text() if path.exists() else ""
    *_, made_with = text.splitlines() or [""]
    return text == wanted or (made_with.startswith("<!-- made with") and made_with not in wanted)


def written_before() -> list[str]:
    """The manual pages of calls that are there now."""
    return [str(path.relative_to(DOCS)) for path in sorted((DOCS / "man").glob("man3/*.3"))]


def main() -> int:
    """Write or check the pages, as the arguments say."""
    if "--write" in sys.argv:
        for name in written_before():
            (DOCS / name).unlink()
        for name, text in pages().items():
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            (DOCS / name).write_text(text)
        return 0
    found = stale()
    for name in found:
        print(f"docs/{name} is not current: run `make docs`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
