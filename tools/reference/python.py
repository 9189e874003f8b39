"""docs/reference/python.md: the public Python names with their docstrings."""

import ast
import inspect
import re
from pathlib import Path

import drvs

from markdown import made_with, whole_page

STUBS = Path(inspect.getfile(drvs)).parent / "core" / "_core.pyi"

INTRODUCTION = """
`import drvs` gives all names of this page; each is loaded when it is first used. Blocking calls have `async` twins in
[`drvs.aio`](#drvsaio). The guide's own names, ints in and codes out, are in `drvs.compat.mnx`: see
[calls.md](calls.md). Process images are in [`drvs.procspace.image`](#drvsprocspaceimage), and what runs around
them in [`drvs.hooks`](#drvshooks). The tables of a node are in [`drvs.procview`](#drvsprocview).
Exceptions: [errors.md](errors.md). Message fields: [messages.md](messages.md).
"""


def stub_methods(class_name: str) -> dict[str, tuple[str, str]]:
    """Methods of a C class, from the stub file: name -> (signature, docstring)."""
    found = {}
    for node in ast.walk(ast.parse(STUBS.read_text())):
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
                    returns = f" -> {ast.unparse(item.returns)}" if item.returns else ""
                    found[item.name] = (f"({ast.unparse(item.args)}){returns}", ast.get_docstring(item) or "")
    return found


def section(name: str, signature: str, doc: str, depth: int) -> str:
    """One name with its signature and docstring."""
    head = f"{'#' * depth} {name}\n\n"
    head += f"```python\n{name.rsplit('.', maxsplit=1)[-1]}{signature}\n```\n\n" if signature else ""
    return head + prose(doc)


HEADED = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):$")


def prose(doc: str) -> str:
    """A docstring as Markdown: headed parts become bold, their entries a list."""
    part, lines = "", []
    for line in inspect.cleandoc(doc).replace("``", "`").splitlines():
        if heading := HEADED.match(line):
            part = heading[1]
            lines += [f"**{part}**", ""]
        elif line.startswith("Canonical: "):
            lines.append(f"*{line}*")
        elif part and line.startswith("    "):
            lines.append(entry(line[4:], part))
        else:
            part = part if not line else ""
            lines.append(line)
    return "\n".join(lines)


def entry(line: str, part: str) -> str:
    """A line below Args, Returns, …: `name: text` begins an item, more indented lines go on with one."""
    name, colon, text = line.partition(": ")
    if part in ("Returns", "Yields") or line.startswith(" ") or not colon:
        return line if part not in ("Args", "Raises", "Attributes") else f"  {line.strip()}"
    return f"- `{name}`: {text}"


def signature_of(thing: object) -> str:
    """The signature of a function or method, without self."""
    try:
        text = str(inspect.signature(thing))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    return re.sub(r"\(self(, )?", "(", text).replace("'", "")


def class_sections(name: str, kind: type) -> list[str]:
    """A class and its public methods, those of the C class it inherits included."""
    sections = [section(name, "", kind.__doc__ or "", 2)]
    stubs = {name: found for base in kind.__mro__ for name, found in stub_methods(base.__name__).items()}
    for member, value in inspect.getmembers(kind):
        if member.startswith("_") or any(member in vars(base) for base in (int, BaseException, tuple)):
            continue
        own = next(base for base in kind.__mro__ if member in vars(base))
        if callable(value) and own.__module__.startswith("drvs"):
            signature, doc = stubs.get(member, ("", "")) if not inspect.isfunction(value) else ("", "")
            sections.append(
                section(f"{name}.{member}", signature or signature_of(value), doc or inspect.getdoc(value) or "", 3)
            )
        elif isinstance(value, property):
            sections.append(section(f"{name}.{member}", "", inspect.getdoc(value) or "", 3))
    return sections


def page() -> str:
    """The whole page."""
    import drvs.aio
    import drvs.hooks
    import drvs.procspace.image
    import drvs.procview

    sections: list[str] = []
    for module in (drvs, drvs.aio, drvs.hooks, drvs.procspace.image, drvs.procview):
        prefix = {drvs.hooks: "hooks.", drvs.procspace.image: "image.", drvs.procview: "procview."}.get(module, "")
        if module is not drvs:
            sections.append(f"## {module.__name__}\n\n{prose(module.__doc__ or '')}")
        for name in module.__all__:
            thing = getattr(module, name)
            if isinstance(thing, type) and issubclass(thing, drvs.DrvsError):
                continue
            if isinstance(thing, type):
                sections += class_sections(prefix + name, thing)
            elif callable(thing):
                sections.append(section(prefix + name, signature_of(thing), inspect.getdoc(thing) or "", 2))
    return whole_page("The Python API", INTRODUCTION, *sections, made_with())
