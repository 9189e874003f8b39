"""Run a command on another kernel: a virtual machine that sees this host's files, read-only, and may write to memory.

    result = guest.run(["python3", "-c", "import os; print(os.uname().release)"])
    result.status, result.output

Booting takes some seconds with software emulation. As a program: `python tests/qemu/guest.py COMMAND…` runs one and
prints what it said.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest

from qemu import initramfs

QEMU = "qemu-system-x86_64"
INSTALL = "apt-get install qemu-system-x86 linux-image-amd64 busybox-static"
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
MODULES = ("tipc", "veth", "bridge", "tun", "sch_netem")
PATIENCE_S = 600.0
PATIENT = "start_ms=300000,stop_ms=300000,lab_up_ms=600000,lab_down_ms=300000"
"""A guest is twenty times as slow, and may have to share the host."""


@dataclass(frozen=True)
class Result:
    """What became of a command: its exit status (None: the guest ended without one), its output, the kernel's log."""

    status: int | None
    output: str
    console: str

    def checked(self) -> str:
        """Return the output of a command that succeeded; fail with all that is known otherwise."""
        assert self.status == 0, f"status {self.status}\n{self.output}\n--- console:\n{self.console[-3000:]}"
        return self.output


def why_not() -> str:
    """Return why no guest can be started here, with the command that mends it; empty if one can."""
    if os.uname().machine != "x86_64":
        return "the guest is an x86-64 machine"
    if shutil.which(QEMU) is None or _busybox() is None or not kernels():
        return f"no emulator, no static busybox or no kernel image with 9p and TIPC here: {INSTALL}"
    return ""


def marks() -> list[pytest.MarkDecorator]:
    """Return the marks of a module whose tests start guests: slow, skipped where none can be started."""
    reason = why_not()
    return [pytest.mark.slow, pytest.mark.deadline(900), pytest.mark.skipif(bool(reason), reason=reason)]


@cache
def kernels() -> dict[str, Path]:
    """Return the kernel images of this host that have all modules, by version, the newest last.

    They are looked for in /boot, or below DRVS_GUEST_ROOT, into which a package may have been unpacked.
    """
    root = Path(os.environ.get("DRVS_GUEST_ROOT", "/"))
    found = {}
    for image in sorted(root.glob("boot/vmlinuz-*"), key=lambda path: path.stat().st_mtime):
        version = image.name.removeprefix("vmlinuz-")
        try:
            initramfs.in_order(root / "lib/modules" / version, BOOT_MODULES + MODULES)
        except (KeyError, OSError):
            continue
        found[version] = image
    return found


def _busybox() -> Path | None:
    path = shutil.which("busybox")
    if path is None or b"ld-linux" in Path(path).read_bytes()[:4096]:
        return None
    return Path(path)


def run(
    command: list[str],
    *,
    timeout: float = PATIENCE_S,
    sysctl: dict[str, object] | None = None,
    environment: dict[str, str] | None = None,
    memory_mb: int = 1536,
    cpus: int = 2,
    place: str | None = None,
) -> Result:
    """Boot, run a command as root in the present directory, and return what became of it.

    Args:
        command: the program and its arguments; the host's files are where they are here, and /run is empty.
        timeout: seconds until the machine is switched off.
        sysctl: settings to make first, as {"kernel.yama.ptrace_scope": 1}.
        environment: variables beside PATH and HOME.
        place: the directory to run in; None: the present one.
    """
    version, image = list(kernels().items())[-1]
    busybox = _busybox()
    assert busybox is not None, INSTALL
    with tempfile.TemporaryDirectory(prefix="drvs-guest-") as folder:
        out = Path(folder, "out")
        out.mkdir()
        modules = image.parent.parent / "lib/modules" / version
        Path(folder, "initrd").write_bytes(initramfs.build(busybox, modules, BOOT_MODULES + MODULES))
        (out / "command").write_text(_script(command, sysctl or {}, environment or {}, place or os.getcwd()))
        (out / "second").write_text(initramfs.SECOND)
        told = _boot(_machine(image, Path(folder), memory_mb, cpus), timeout)
        status = _text(out / "status").strip()
        return Result(int(status) if status else None, _text(out / "output"), _text(Path(folder, "console")) + told)


def _script(command: list[str], sysctl: dict[str, object], environment: dict[str, str], place: str) -> str:
    usual = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/root", "LANG": "C.UTF-8", "DRVS_LIMITS": PATIENT}
    variables = {**usual, **environment}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += [f"echo {value} > /proc/sys/{name.replace('.', '/')} || exit 125" for name, value in sysctl.items()]
    return "\n".join([*lines, f"cd {shlex.quote(place)} || exit 125", "exec " + shlex.join(command)]) + "\n"


def _machine(image: Path, folder: Path, memory_mb: int, cpus: int) -> list[str]:
    kernel = "console=ttyS0 loglevel=4 panic=-1 random.trust_cpu=on mitigations=off"
    return [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
        "-accel", "tcg", "-cpu", "max", "-smp", str(cpus), "-m", str(memory_mb),
        "-kernel", str(image), "-initrd", str(folder / "initrd"), "-append", kernel,
        "-serial", f"file:{folder / 'console'}",
        *_share("host", "/", "readonly=on"), *_share("out", str(folder / "out"), "readonly=off"),
    ]  # fmt: skip


def _share(tag: str, path: str, access: str) -> list[str]:
    files = f"local,id={tag},path={path},security_model=none,multidevs=remap,{access}"
    return ["-fsdev", files, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def _boot(command: list[str], timeout: float) -> str:
    """Run the machine until it switches itself off, or is switched off; returns what the emulator said of that."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, told = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"switched off after {timeout:g} s\n"
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, told.decode(errors="replace")
    return told.decode(errors="replace")


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


if __name__ == "__main__":
    if problem := why_not():
        sys.exit(problem)
    done = run(sys.argv[1:], timeout=float(os.environ.get("DRVS_GUEST_SECONDS", "600")))
    sys.stdout.write(done.output)
    if done.status is None:
        sys.exit(f"the guest did not finish; its console:\n{done.console[-3000:]}")
    sys.exit(done.status)
