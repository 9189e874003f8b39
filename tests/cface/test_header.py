"""m3ipc.h: it compiles as C and C++ without a warning, and says what the guide and the Python module say."""

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

import canonical_map
from drvs.base import native
from drvs.base.codes import Code
from drvs.compat import mnx
from drvs.compat.mnx import constants, structures
from support import cface, cprograms

ROOT = Path(__file__).parents[2]
HEADERS = sorted(path.relative_to(native.INCLUDE) for path in native.INCLUDE.rglob("*.h"))
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
LANGUAGES = {"c11": ("gcc", "c"), "c++17": ("g++", "c++")}
GUIDE = {call["name"]: call for call in canonical_map.CANONICAL["m3ipc_guide"]}


@pytest.mark.parametrize("std", LANGUAGES)
@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_every_header_stands_alone_and_compiles_without_a_warning(header: Path, std: str, tmp_path: Path) -> None:
    compiler, language = LANGUAGES[std]
    source = tmp_path / "use.c"
    source.write_text(f"#include <{header}>\nint main(void) {{ return 0; }}\n")
    compat = [f"-I{native.COMPAT}"] if "compat" in header.parts else []
    done = cprograms.gcc(f"-std={std}", "-x", language, *STRICT, *native.cflags(), *compat, source, compiler=compiler)
    assert done.returncode == 0, done.stderr


# ---- signatures ---------------------------------------------------------------------------------------------------


def normal(prototype: str) -> str:
    """A prototype without what may differ: blanks, `void` for no parameters."""
    text = re.sub(r"\s+", " ", prototype).replace("(void)", "()").replace("message*", "message *")
    return re.sub(r" ?([(),*]) ?", r"\1", text).strip()


@pytest.mark.parametrize("name", sorted(GUIDE))
def test_a_call_has_the_signature_of_the_guide(name: str) -> None:
    declared = re.search(rf"^M3IPC_API (.*\b{name}\(.*\));", cface.HEADER.read_text(), re.M)
    assert declared
    assert normal(declared[1]) == normal(GUIDE[name]["signature"])


def test_every_call_of_the_stub_and_of_the_python_module_is_declared() -> None:
    wanted = {*canonical_map.CANONICAL["m3ipc_authors_stub"], *(n for n in mnx.__all__ if n.startswith("mnx_"))}
    assert wanted - {"mnx_errno"} <= set(cface.prototypes())


def symbols(*arguments: object) -> set[str]:
    """The names that a library defines for others."""
    command = ["nm", "--defined-only", "--format=posix", *map(str, arguments)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {words[0].partition("@")[0] for line in lines if len(words := line.split()) > 1 and words[1] in "TDBRW"}


@pytest.mark.parametrize(
    "library", [["-D", native.LIB / "libm3ipc.so.0"], ["-g", native.LIB / "libm3ipc.a"]], ids=["so", "a"]
)
def test_a_library_defines_the_calls_and_nothing_else(library: list[object]) -> None:
    assert symbols(*library) == {*cface.prototypes(), "mnx_errno_location"}


def test_the_shared_library_needs_the_c_library_alone() -> None:
    listed = subprocess.run(
        ["readelf", "-d", native.LIB / "libm3ipc.so.0"], capture_output=True, text=True, check=True
    ).stdout
    assert "soname: [libm3ipc.so.0]" in listed
    assert {name.split(".")[0] for name in re.findall(r"NEEDED.*\[(.*?)\]", listed)} <= {
        "libc",
        "libpthread",
        "ld-linux-x86-64",
    }


# ---- layouts and numbers ---------------------------------------------------------------------------------------------


def answers(tmp_path: Path, expressions: list[str], *headers: str) -> dict[str, int]:
    """What a C program computes for each expression."""
    lines = [f'printf("%lld\\n", (long long)({expression}));' for expression in expressions]
    source = tmp_path / "ask.c"
    included = "".join(f"#include <{header}>\n" for header in ("m3ipc.h", "stddef.h", "stdio.h", *headers))
    source.write_text(f"{included}int main(void) {{\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    done = cprograms.gcc(*native.cflags(), source, "-o", tmp_path / "ask")
    assert done.returncode == 0, done.stderr
    printed = subprocess.run([tmp_path / "ask"], capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(expressions, map(int, printed), strict=True))


PLAIN = ["drvs_usr", "VM_usr", "proc_usr", "priv_usr", "node_usr"]
NAMED = ["message", "cmd_t", "vcopy_t", "proxy_payload_t", "sys_map_t", "moltimer_t", "cpumask_t"]


def test_structures_are_laid_out_as_in_python(tmp_path: Path) -> None:
    expected = {}
    for name in PLAIN + NAMED:
        kind, spelled = getattr(structures, name), f"struct {name}" if name in PLAIN else name
        expected[f"sizeof({spelled})"] = ctypes.sizeof(kind)
        for field, *_ in kind._fields_:
            expected[f"offsetof({spelled}, {_c_name(field)})"] = getattr(kind, field).offset
    for view in range(1, 10):
        for field, *_ in getattr(structures, f"mess_{view}")._fields_:
            expected[f"offsetof(message, {field})"] = getattr(structures.message, field).offset
            expected[f"sizeof(((message *)0)->{field})"] = getattr(structures.message, field).size
    assert answers(tmp_path, list(expected)) == expected


def _c_name(field: str) -> str:
    return {"m_u": "m_u", "bits": "bits"}.get(field, field)


def test_constants_have_the_numbers_of_the_python_module(tmp_path: Path) -> None:
    python_only = {"MESSAGE_BYTES", "PAYLOAD_BYTES", "CPU_SETSIZE"}
    names = [
        n
        for n, v in vars(constants).items()
        if n[0].isalpha() and n.isupper() and type(v) is int and n not in python_only
    ]
    expected = {name: int(getattr(constants, name)) for name in names}
    assert len(expected) > 120
    assert answers(tmp_path, names) == expected


def test_call_numbers_and_later_names(tmp_path: Path) -> None:
    expected = {**constants.CALL_NUMBERS, "EDVSDSTDIED": Code.DSTDIED, "EDVSBADDCID": Code.BADVMID, "NR_DCS": 32}
    expected |= {f"EDVS{code.canonical[4:]}": int(code) for code in Code if code.canonical.startswith("EMOL")}
    expected |= {"offsetof(DC_usr_t, dc_name)": structures.VM_usr.vm_name.offset, "EPERM": 1, "ERESTARTSYS": 512}
    expected |= {"NOTIFY_FROM(5)": 0x1005, "SYSTASK(2)": -4, "CMD_COPYOUT_DATA": 0x2006}
    assert answers(tmp_path, list(expected), "m3ipc/callnr.h") == {name: int(v) for name, v in expected.items()}
