"""docs/reference/errors.md: exceptions and codes."""

from drvs.base import errors
from drvs.base.codes import Code
from drvs.base.hints import hint_for

from markdown import first_paragraph, table, whole_page

INTRODUCTION = """
Every exception of drvs is a `drvs.DrvsError`, inherits the builtin that matches (`TimeoutError`, `ConnectionError`, …),
and carries `code`, `operation`, `endpoint`, `peer`, `vm`, `node` and `hint`. Its text names the operation and the
parties, says what is wrong, gives the guide's code, and ends with the next step:

```
sendrec to 5 from 70 in VM 0 ('lab'): the destination died or was unbound (EMOLDSTDIED). Bind it again or …
```

`drvs.compat.mnx` returns the codes instead of raising.
"""

CORRUPT = """
The codes EMOLBADVMID, EMOLBADPID and EMOLBADPROC mean damage to a region when an IPC call gives them
(`CorruptStateError`), and a wrong argument elsewhere (`OutOfRange`).
"""


def groups() -> list[type[errors.DrvsError]]:
    """The exception classes, in the order of the source."""
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DrvsError)]


def codes_of(kind: type[errors.DrvsError]) -> str:
    """The codes that raise exactly this class."""
    found = [code.canonical for code in Code if errors.error_class(code) is kind and code != Code.OK]
    return ", ".join(found)


def builtin_of(kind: type[errors.DrvsError]) -> str:
    """The class it inherits beside DrvsError."""
    return ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if base is not errors.DrvsError)


def page() -> str:
    """The whole page."""
    exceptions = table(
        ["exception", "is also", "means, and what to do", "codes"],
        [[f"`{k.__name__}`", builtin_of(k), first_paragraph(k), codes_of(k)] for k in groups()],
    )
    codes = table(
        ["number", "code", "in the guide", "means", "next step"],
        [[str(int(c)), f"`Code.{c.name}`", c.canonical, c.meaning, hint_for(c, "")] for c in Code],
    )
    return whole_page("Errors and codes", INTRODUCTION, "## Exceptions", exceptions, CORRUPT, "## Codes", codes)
