"""The first file system of a guest: busybox, the modules it needs, and a script that finds the host's root over 9p."""

import lzma
from pathlib import Path

_S_IFDIR, _S_IFREG = 0o040000, 0o100000

INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules/order); do $b insmod /modules/$module || $b echo "no $module"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /lower || $b poweroff -f
$b mount -t tmpfs -o size=75% upper /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root || $b poweroff -f
$b mount -t proc proc /root/proc
$b mount -t sysfs sys /root/sys
$b mount -t devtmpfs dev /root/dev
$b mkdir -p /root/dev/pts /root/dev/shm
$b mount -t devpts devpts /root/dev/pts
$b mount -t tmpfs -o mode=1777 shm /root/dev/shm
$b mount -t tmpfs -o mode=755 run /root/run
$b mkdir -p /root/drvs-out
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 out /root/drvs-out
$b ip link set lo up
$b cp $b /root/run/busybox
$b umount /proc
exec $b switch_root /root /run/busybox sh /drvs-out/second
"""

SECOND = """\
b=/run/busybox
$b setsid /bin/sh /drvs-out/command </dev/null >/drvs-out/output 2>&1
echo $? >/drvs-out/status
$b sync
$b poweroff -f
"""


def build(busybox: Path, modules: Path, wanted: tuple[str, ...]) -> bytes:
    """Return the archive.

    Args:
        busybox: a static one.
        modules: /lib/modules/VERSION.
        wanted: names of modules; what they depend on comes along.
    """
    archive = _Archive()
    for folder in ("bin", "proc", "dev", "lower", "upper", "root", "modules"):
        archive.add(folder, _S_IFDIR | 0o755, b"")
    archive.add("bin/busybox", _S_IFREG | 0o755, busybox.read_bytes())
    archive.add("init", _S_IFREG | 0o755, INIT.encode())
    order = in_order(modules, wanted)
    for path in order:
        archive.add(f"modules/{_plain_name(path)}", _S_IFREG | 0o644, _contents(path))
    archive.add("modules/order", _S_IFREG | 0o644, " ".join(_plain_name(path) for path in order).encode())
    return archive.finished()


def in_order(modules: Path, wanted: tuple[str, ...]) -> list[Path]:
    """Return the files of these modules, each behind what it depends on; what is built in is left out.

    Raises:
        KeyError: this kernel has no such module.
    """
    lines = [line.partition(":") for line in (modules / "modules.dep").read_text().splitlines()]
    needs = {module_name(path): (path, rest.split()) for path, _, rest in lines}
    built_in = {module_name(path) for path in (modules / "modules.builtin").read_text().split()}
    order: list[str] = []
    for name in wanted:
        if name not in built_in:
            path, below = needs[name]
            order += [one for one in (*reversed(below), path) if one not in order]
    return [modules / path for path in order]


def module_name(path: str) -> str:
    """Return the name of a module by its path."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def _plain_name(path: Path) -> str:
    return path.name.removesuffix(".xz")


def _contents(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


class _Archive:
    """A cpio archive in the format that the kernel unpacks ("newc")."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def add(self, name: str, mode: int, data: bytes) -> None:
        """Append a file or a directory."""
        self._count += 1
        path = name.encode() + b"\0"
        numbers = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(head + path), _padded(data)]

    def finished(self) -> bytes:
        """Return the whole, with the entry that ends it."""
        self.add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
