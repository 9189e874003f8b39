"""Where the C library of this installation is: headers, libraries, manual pages, and the flags to build with them.

The package carries libm3ipc (built by setup.py beside the extension) in its folder `native`, laid out as below any
prefix: include/, lib/, share/man/, bin/.
"""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "native"
INCLUDE = FOLDER / "include"
COMPAT = INCLUDE / "m3ipc" / "compat"
LIB = FOLDER / "lib"
MAN = FOLDER / "share" / "man"
PAIR = FOLDER / "bin" / "m3ipc-pair"


def present() -> bool:
    """Say whether this installation has the C library."""
    return (LIB / "libm3ipc.a").exists() and (INCLUDE / "m3ipc.h").exists()


def cflags(*, compat: bool = False) -> list[str]:
    """Return the compiler's flags; with `compat`, also those under which sources of M3-IPC's own time build.

    They include them by paths like "stub_syscall.h", "./kernel/minix/ipc.h" or "../../kernel/minix/ipc.h", hence three
    folders for one.
    """
    flags = [f"-I{INCLUDE}"]
    if compat:
        flags.append(f"-I{COMPAT}")
        for folder in (COMPAT, COMPAT / "kernel", COMPAT / "kernel" / "minix"):
            flags += ["-iquote", str(folder)]
    return flags


def libs(*, static: bool = False) -> list[str]:
    """Return the linker's flags; a program linked without `static` finds the library where it is now."""
    if static:
        return [str(LIB / "libm3ipc.a"), "-lpthread"]
    return [f"-L{LIB}", f"-Wl,-rpath,{LIB}", "-lm3ipc"]
