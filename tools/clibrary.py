"""Build libm3ipc and put it where programs find it: the one recipe, for `make install-c` and for setup.py.

    python tools/clibrary.py --prefix /usr/local [--libdir DIR] [--destdir DIR]

Needs a C compiler and binutils ($CC, $CFLAGS, $AR, $OBJCOPY) and no package of Python. Objects go to build/c and are
made again when a source or header is newer. The static library is one object whose internal names are local, so that a
program linked with it sees the calls of the guide and nothing of the core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
SONAME = "libm3ipc.so.0"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion"]
FLAGS = ["-std=gnu11", "-O2", "-g", *WARNINGS, "-fvisibility=hidden", "-fPIC", "-fno-plt"]
INCLUDES = [f"-I{CSRC / 'include'}", f"-I{CSRC / 'core'}"]

PKG_CONFIG = """\
prefix={prefix}
includedir=${{prefix}}/include
libdir={libdir}
compatdir=${{includedir}}/m3ipc/compat

Name: m3ipc
Description: Rendezvous IPC between processes (the calls of the M3-IPC Programmer's Guide)
Version: {version}
Cflags: -I${{includedir}}
Libs: -L${{libdir}} -lm3ipc
Libs.private: -lpthread
"""


def sources() -> list[Path]:
    """All C files of the library, in an order that does not depend on the file system."""
    return [path for folder in ("core", "lib") for path in sorted((CSRC / folder).glob("*.c"))]


def headers() -> list[Path]:
    """All headers that they may include."""
    return [path for folder in ("core", "lib", "include") for path in (CSRC / folder).rglob("*.h")]


def tool(name: str, usual: str) -> list[str]:
    """A program of the tool chain, from the environment or by its usual name."""
    return os.environ.get(name, usual).split()


def run(command: Sequence[str | Path]) -> None:
    """Run a command that must succeed; what it says goes to the terminal."""
    if subprocess.run([str(word) for word in command], check=False).returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")


def newer(target: Path, than: Iterable[Path]) -> bool:
    """Say whether the target is there and newer than all of these."""
    return target.exists() and target.stat().st_mtime >= max(path.stat().st_mtime for path in than)


def compile_all(objects: Path, extra: Sequence[str]) -> list[Path]:
    """Compile what is out of date, two files at a time; returns the objects."""
    found = [*headers(), Path(__file__)]
    flags = [*FLAGS, *tool("CFLAGS", ""), *extra, *INCLUDES]

    def one(source: Path) -> Path:
        target = objects / source.parent.name / f"{source.stem}.o"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not newer(target, [source, *found]):
            run([*tool("CC", "gcc"), *flags, "-c", source, "-o", target])
        return target

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(one, sources()))


def link(objects: list[Path], build: Path, extra: Sequence[str]) -> None:
    """Make the shared and the static library in `build`."""
    version_script = CSRC / "lib" / "libm3ipc.map"
    if newer(build / "libm3ipc.a", [*objects, version_script]):
        return
    options = [f"-Wl,-soname,{SONAME}", f"-Wl,--version-script={version_script}", "-Wl,-z,nodelete", "-Wl,-z,now"]
    run([*tool("CC", "gcc"), "-shared", *extra, *options, "-o", build / SONAME, *objects, "-lpthread"])
    whole, archive = build / "m3ipc.o", build / "libm3ipc.a"
    run([*tool("CC", "gcc"), "-r", "-nostdlib", "-o", whole, *objects])
    run([*tool("OBJCOPY", "objcopy"), "--localize-hidden", whole])
    archive.unlink(missing_ok=True)
    run([*tool("AR", "ar"), "crs", archive, whole])


def build_library(build: Path, extra: Sequence[str] = ()) -> None:
    """Make libm3ipc.so.0 and libm3ipc.a in `build`, with extra flags for compiler and linker."""
    build.mkdir(parents=True, exist_ok=True)
    link(compile_all(build / "objects", extra), build, extra)


def copy_tree(source: Path, target: Path, pattern: str) -> None:
    """Copy the files below a folder that match, folders kept."""
    for path in sorted(source.rglob(pattern)):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def install_headers(include: Path) -> None:
    """The public header and its parts; those for sources of old go where only who asks for them finds them."""
    include.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CSRC / "include/m3ipc.h", include / "m3ipc.h")
    copy_tree(CSRC / "include/m3ipc", include / "m3ipc", "*.h")
    copy_tree(CSRC / "include/compat", include / "m3ipc" / "compat", "*.h")


def install_libraries(build: Path, lib: Path, *, symlinks: bool) -> None:
    """The libraries. Where symbolic links cannot be (a wheel), libm3ipc.so is a linker script with the same effect."""
    lib.mkdir(parents=True, exist_ok=True)
    for name in (SONAME, "libm3ipc.a"):
        (lib / name).unlink(missing_ok=True)  # a program may have the old one mapped
        shutil.copy(build / name, lib / name)
    development = lib / "libm3ipc.so"
    development.unlink(missing_ok=True)
    if symlinks:
        development.symlink_to(SONAME)
    else:
        development.write_text(f"INPUT(-l:{SONAME})\n")


def version() -> str:
    """The project's version."""
    text = (ROOT / "pyproject.toml").read_text()
    return text.split('\nversion = "')[1].split('"')[0]


def install_pages(man: Path) -> None:
    """The manual pages."""
    copy_tree(ROOT / "docs/man", man, "*.[37]")


def install(build: Path, prefix: Path, libdir: Path, destdir: str) -> None:
    """Everything below the prefix, `destdir` in front of it for packagers."""

    def placed(path: Path) -> Path:
        return Path(destdir + str(path)) if destdir else path

    install_headers(placed(prefix / "include"))
    install_libraries(build, placed(libdir), symlinks=True)
    install_pages(placed(prefix / "share/man"))
    described = placed(libdir / "pkgconfig" / "m3ipc.pc")
    described.parent.mkdir(parents=True, exist_ok=True)
    described.write_text(PKG_CONFIG.format(prefix=prefix, libdir=libdir, version=version()))


def bundle(build: Path, folder: Path, extra: Sequence[str] = ()) -> None:
    """What the Python package carries: headers, libraries, pages, and the pair of programs that `drvs bench` times."""
    build_library(build, extra)
    install_headers(folder / "include")
    install_libraries(build, folder / "lib", symlinks=False)
    install_pages(folder / "share/man")
    pair = folder / "bin" / "m3ipc-pair"
    pair.parent.mkdir(parents=True, exist_ok=True)
    needs = [CSRC / "pair/pair.c", build / "libm3ipc.a"]
    if not newer(pair, needs):
        run([*tool("CC", "gcc"), *FLAGS, "-s", *extra, f"-I{CSRC / 'include'}", "-o", pair, *needs, "-lpthread"])


def main() -> None:
    """Build and install, as the arguments say."""
    parser = argparse.ArgumentParser(description="Build libm3ipc and install it.")
    parser.add_argument("--prefix", type=Path, default=Path("/usr/local"))
    parser.add_argument("--libdir", type=Path, help="default: PREFIX/lib")
    parser.add_argument("--destdir", default="")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "c")
    chosen = parser.parse_args()
    prefix = chosen.prefix.absolute()
    build_library(chosen.build)
    install(chosen.build, prefix, (chosen.libdir or prefix / "lib").absolute(), chosen.destdir)


if __name__ == "__main__":
    main()
