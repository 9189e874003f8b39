"""What a user installs: one extension under the stable ABI, types, and nothing of the tests."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of all files in a freshly built wheel, after the wheel's own name."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    source = folder / "source"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode()
    names = files.split("\0")[:-1] or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if ".venv" not in p.parts]
    for name in names:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*pip, str(source)], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return [wheel.name, *zipfile.ZipFile(wheel).namelist()]


@pytest.mark.slow
def test_the_wheel_has_one_extension_under_the_stable_abi(wheel_names: list[str]) -> None:
    assert "-cp311-abi3-" in wheel_names[0]
    extensions = [name for name in wheel_names if name.endswith(".so") and "/native/" not in name]
    assert extensions == ["drvs/core/_core.abi3.so"]


@pytest.mark.slow
def test_the_wheel_has_the_c_library(wheel_names: list[str]) -> None:
    native = {name.removeprefix("drvs/native/") for name in wheel_names if name.startswith("drvs/native/")}
    assert {"lib/libm3ipc.so", "lib/libm3ipc.so.0", "lib/libm3ipc.a", "bin/m3ipc-pair"} <= native
    assert {"include/m3ipc.h", "include/m3ipc/codes.h", "include/m3ipc/compat/kernel/minix/ipc.h"} <= native
    assert {"share/man/man3/mnx_send.3", "share/man/man7/m3ipc.7"} <= native


@pytest.mark.slow
def test_the_wheel_has_types_and_the_command(wheel_names: list[str]) -> None:
    assert {"drvs/py.typed", "drvs/core/_core.pyi", "drvs/cli/main.py"} <= set(wheel_names)
    assert any(name.endswith("entry_points.txt") for name in wheel_names)
    assert not [name for name in wheel_names if name.startswith(("tests", "support", "examples"))]


def test_the_version_is_the_same_everywhere() -> None:
    import tomllib

    import drvs

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert drvs.__version__ == declared
    assert f"## {declared}" in (ROOT / "CHANGELOG.md").read_text()
