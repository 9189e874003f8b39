"""What must be the same here as where the image was made; looked at before anything is created, each mismatch named."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator

from drvs.procspace.image import identity, machine, model, procfile
from drvs.procspace.image.errors import Mismatch, Refused

_CAP_SYS_RESOURCE = 24
_IGNORED_FLAGS = {"constant_tsc", "tsc_known_freq", "nonstop_tsc", "arat", "rep_good", "nopl", "hypervisor"}


def check_owner(fd: int) -> None:
    """Refuse an image that somebody else could have written.

    Raises:
        Refused: it is not ours.
    """
    found = os.fstat(fd)
    if found.st_uid != os.geteuid():
        raise Refused(
            f"the image belongs to user {found.st_uid}, and what it holds would run as you.",
            "Take it over first (chown).",
        )
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o022:
        raise Refused("the image can be written by others.", "Close it first (chmod 600).")


def check_fit(meta: model.Meta, files: dict[int, int] | None = None) -> None:
    """Check that the image fits machine, kernel, user, limits and files.

    Args:
        meta: the description.
        files: descriptors for `meta.files`, by index, if they are open already.

    Raises:
        Mismatch: it does not; the text names every difference.
    """
    problems = [problem for check in (_machine, _system, _user, _limits) for problem in check(meta)]
    problems += _files(meta, files or {})
    if problems:
        hint = (
            "`drvs image dump --all` makes images that need no files."
            if any("file" in text for text in problems)
            else ""
        )
        raise Mismatch("the image does not fit: " + "; ".join(problems) + ".", hint)


Problems = Iterator[str]


def _machine(meta: model.Meta) -> Problems:
    here = os.uname()
    if (meta.machine.arch, meta.machine.page) != (here.machine, machine.PAGE):
        yield f"it is for {meta.machine.arch} with pages of {meta.machine.page}, and this is {here.machine}"
    missing = set(meta.machine.cpu_flags) - set(machine.cpu_flags()) - _IGNORED_FLAGS
    if missing:
        yield f"this processor lacks {', '.join(sorted(missing))}"
    if "sse4_2" not in machine.cpu_flags():
        yield "this processor lacks sse4_2, which the restorer's checksums need"


def _system(meta: model.Meta) -> Problems:
    checksum, ours = machine.own_vdso_checksum(), machine.own_system()
    if checksum != meta.machine.vdso_crc or _shape(ours) != _shape(meta.machine.system):
        yield f"the kernel's vDSO differs (made on {meta.machine.kernel}, this is {os.uname().release})"


def _shape(mappings: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Names, sizes and distances."""
    first = min((start for _, start, _ in mappings), default=0)
    return [(name, start - first, end - start) for name, start, end in mappings]


def _user(meta: model.Meta) -> Problems:
    who = meta.credentials
    if os.geteuid() == 0:
        return
    if set(who.uids) != {os.geteuid()}:
        yield f"its process belongs to user {who.uids[1]}, and only root could become that"
    if set(who.gids) - {os.getegid()} or set(who.groups) - set(os.getgroups()):
        yield "its process has groups that you are not in"
    permitted = procfile.own_capabilities()["CapPrm"]
    if who.capabilities[1] & ~permitted:
        yield "its process has capabilities that you lack"


def _limits(meta: model.Meta) -> Problems:
    if procfile.own_capabilities()["CapEff"] >> _CAP_SYS_RESOURCE & 1:
        return
    for number, (_, hard) in enumerate(meta.limits):
        ours = resource.getrlimit(number)[1] & 2**64 - 1
        if hard > ours:
            yield f"resource limit {number} is {ours} here, and its process had {hard}"


def _files(meta: model.Meta, opened_files: dict[int, int]) -> Problems:
    for index, file in enumerate(meta.files):
        try:
            fd = opened_files.get(index, -1)
            now = identity.identify_open(fd, file.path) if fd >= 0 else identity.identify(file.path)
        except OSError as error:
            yield f"the file {file.path}: {error.strerror}"
            continue
        if not identity.same(file, now) and not _shared_only(meta, file):
            yield f"the file {file.path} has changed"
    for opened in meta.open_files:
        if isinstance(opened, model.OnDisk):
            yield from _open_file(opened)
    if not os.path.isdir(meta.cwd):
        yield f"the working directory {meta.cwd} is gone"


def _shared_only(meta: model.Meta, file: model.File) -> bool:
    """A file that is only mapped shared for writing changes by being used."""
    index = meta.files.index(file)
    regions = [region for region in meta.regions if region.file == index]
    return all(region.shared and region.writable_file for region in regions) and os.path.getsize(file.path) >= file.size


def _open_file(opened: model.OnDisk) -> Problems:
    try:
        found = os.stat(opened.path)
    except OSError as error:
        yield f"the open file {opened.path}: {error.strerror}"
        return
    problem = difference(opened, found)
    if problem:
        yield f"the open file {opened.path} {problem}"


def difference(opened: model.OnDisk, found: os.stat_result) -> str:
    """Say how what is found differs from what was open; empty if it is the same.

    A file open for writing goes on growing: it must be the same inode, and reach as far as the offset. A directory
    changes by being used too.
    """
    if opened.kind == "device":
        return "" if stat.S_ISCHR(found.st_mode) else "is no device any more"
    if (found.st_dev, found.st_ino) != (opened.device, opened.inode):
        return "is another one now"
    if opened.kind == "directory":
        return ""
    if opened.flags & os.O_ACCMODE != os.O_RDONLY:
        return "is shorter now" if found.st_size < min(opened.position, opened.size) else ""
    return "has changed" if (found.st_size, found.st_mtime_ns) != (opened.size, opened.mtime_ns) else ""
