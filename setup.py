"""Build of the one C extension, drvs.core._core, under the stable ABI of CPython 3.11, and of libm3ipc beside it.

Everything else is in pyproject.toml. Environment switches:

    DRVS_BUILD_WERROR=1                     a warning is an error
    DRVS_BUILD_SANITIZE=address,undefined   the sanitizers named
    DRVS_BUILD_COVERAGE=1                   gcov counters
    DRVS_BUILD_FAULTS=1                     fault points (tests only)
"""

import os
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, "tools")
import clibrary

WARNINGS = ["-Wall", "-Wextra", "-Wconversion"]
SOURCE_FOLDERS = ["csrc/core", "csrc/image", "csrc/python", "csrc/bench"]


def files(pattern: str) -> list[str]:
    """All C files of that pattern, in an order that does not depend on the file system."""
    return sorted(path for folder in SOURCE_FOLDERS for path in glob(f"{folder}/{pattern}"))


def switched_flags() -> tuple[list[str], list[str]]:
    """The compiler's and the linker's flags that the environment asks for."""
    compiler, linker = [], []
    if os.environ.get("DRVS_BUILD_WERROR"):
        compiler.append("-Werror")
    if sanitizers := os.environ.get("DRVS_BUILD_SANITIZE"):
        compiler += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined"]
        linker.append(f"-fsanitize={sanitizers}")
    else:  # the core's files call each other on every message: 2 to 5 % of a round trip
        compiler.append("-flto=auto")
        linker += ["-flto=auto", "-O2"]
    if os.environ.get("DRVS_BUILD_COVERAGE"):
        compiler.append("--coverage")
        linker.append("--coverage")
    if os.environ.get("DRVS_BUILD_FAULTS"):
        compiler.append("-DDRVS_FAULTS=1")
    return compiler, linker


def core_extension() -> Extension:
    """The extension: the core, its binding, and the C side of the benchmarks."""
    compiler, linker = switched_flags()
    return Extension(
        "drvs.core._core",
        sources=files("*.c"),
        depends=files("*.h"),
        include_dirs=["csrc/core"],
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
        py_limited_api=True,
        extra_compile_args=["-std=gnu11", "-O2", "-g", *WARNINGS, "-fvisibility=hidden", "-fno-plt", *compiler],
        extra_link_args=linker,
    )


class BuildBoth(build_ext):
    """Builds the extension, then the C library into the package's folder `native`, in a wheel or in the source tree."""

    def run(self) -> None:
        """Build everything."""
        super().run()
        package = Path("src/drvs") if self.inplace or self.editable_mode else Path(self.build_lib) / "drvs"
        compiler, _ = switched_flags()
        plain = [flag for flag in compiler if not flag.startswith("-flto")]  # an archive of real code, for any linker
        clibrary.bundle(Path(self.build_temp) / "c", package / "native", plain)


setup(
    cmdclass={"build_ext": BuildBoth},
    ext_modules=[core_extension()],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
