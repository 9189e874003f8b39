"""The view as a directory: real mounts, real programs that read them, restarts, deaths, refusals."""

import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from view.conftest import Mount, wait_unmounted

import drvs
from drvs.daemon import launch
from drvs.procview import fuse, tree
from drvs.procview.fuse import needs
from support import nodes, users


def whole_tree(mounted: Mount) -> dict[str, str]:
    """Every file of a mount with its text."""
    files = [Path(folder) / name for folder, _, names in os.walk(mounted.where) for name in names]
    return {str(path.relative_to(mounted.where)): path.read_text() for path in files}


# ---- reading ----


def test_a_mount_shows_what_the_objects_show(vm: drvs.VM, mounted: Mount) -> None:
    with vm.bind(5, name="five"):
        assert whole_tree(mounted) == {file.path: file.read().text for file in tree(vm.node).files()}


def test_names_and_lines_come_and_go(vm: drvs.VM, mounted: Mount) -> None:
    assert mounted.names() == {"info", "nodes", "proxies", "lab"}
    other = vm.node.create_vm("other")
    assert mounted.names() == {"info", "nodes", "proxies", "lab", "other"}
    assert len(mounted.text("other/procs").splitlines()) == 1
    with other.bind(5, name="five"):
        assert mounted.text("other/procs").splitlines()[1].endswith("five")
    assert len(mounted.text("other/procs").splitlines()) == 1
    other.end()
    assert mounted.names() == {"info", "nodes", "proxies", "lab"}
    with pytest.raises(FileNotFoundError):
        mounted.text("other/info")


def test_it_looks_like_proc(vm: drvs.VM, mounted: Mount) -> None:
    listed = subprocess.run(["ls", "-l", mounted.where], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [
        "-r--r--r--" if line.endswith(("info", "nodes")) else "dr-xr-xr-x" for line in listed.splitlines()[1:]
    ]
    assert os.stat(mounted.where / "info").st_size == 0
    shown = subprocess.run(["cat", "info"], cwd=mounted.where, capture_output=True, text=True, check=True).stdout
    assert shown == mounted.text("info")


def test_small_pieces_are_of_one_moment(vm: drvs.VM, mounted: Mount) -> None:
    with open(mounted.where / "lab" / "procs", "rb", buffering=0) as file:
        pieces = [file.read(7)]
        with vm.bind(5, name="five"):
            while piece := file.read(7):
                pieces.append(piece)
            assert b"".join(pieces).count(b"\n") == 1
            file.seek(0)
            assert file.read(1 << 16).splitlines()[1].endswith(b"five")


CHANGES: list[Callable[[Path], object]] = [
    lambda folder: (folder / "new").write_text(""),
    lambda folder: (folder / "info").write_text(""),
    lambda folder: (folder / "info").unlink(),
    lambda folder: (folder / "new").mkdir(),
    lambda folder: (folder / "lab").rmdir(),
    lambda folder: (folder / "info").rename(folder / "other"),
    lambda folder: (folder / "info").chmod(0o666),
    lambda folder: os.symlink("/", folder / "link"),
]


def test_it_is_read_only(vm: drvs.VM, mounted: Mount) -> None:
    for change in CHANGES:
        with pytest.raises(OSError) as caught:
            change(mounted.where)
        assert caught.value.errno == errno.EROFS


def test_a_file_whose_vm_has_ended_is_gone_for_who_opens_it_and_for_who_reads_again(
    vm: drvs.VM, mounted: Mount
) -> None:
    with open(mounted.where / "lab" / "procs", "rb", buffering=0) as file:
        assert file.read(1 << 16)
        vm.end()
        file.seek(0)
        with pytest.raises(FileNotFoundError):
            file.read(1 << 16)
    with pytest.raises(FileNotFoundError):
        mounted.text("lab/procs")


def test_names_of_any_kind_stay_below_the_mount(vm: drvs.VM, mounted: Mount) -> None:
    for name in ("...", "ü 名", "-rf", "~", "$(id)"):
        vm.node.create_vm(name)
    assert mounted.names() == {"info", "nodes", "proxies", "lab", "...", "ü 名", "-rf", "~", "$(id)"}
    assert "vm_name=...\n" in mounted.text(".../info")


# ---- the process that serves it ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_when_its_process_is_told_to_end_nothing_stays_mounted(mounted: Mount, number: signal.Signals) -> None:
    os.kill(mounted.pid, number)
    mounted.wait_gone()
    assert os.listdir(mounted.where) == []


def test_a_mount_whose_process_was_killed_can_be_unmounted_or_mounted_over(mounting: Callable[..., Mount]) -> None:
    for _ in range(2):
        mounted = mounting()
        os.kill(mounted.pid, signal.SIGKILL)
        nodes.wait_gone(mounted.processes)
    fuse.umount(str(mounted.where))
    assert os.listdir(mounted.where) == []


def test_links_lead_to_the_mount(mounted: Mount, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(mounted.where)
    with pytest.raises(drvs.Busy, match="already"):
        fuse.mount("/nonexistent", str(tmp_path / "link"))
    fuse.umount(str(tmp_path / "link"))
    mounted.wait_gone()


def test_it_can_be_unmounted_and_mounted_again(mounting: Callable[..., Mount]) -> None:
    for _ in range(3):
        mounted = mounting()
        assert mounted.text("info")
        fuse.umount(str(mounted.where))
        mounted.wait_gone()


def test_what_is_in_use_is_unmounted_only_lazily(mounted: Mount) -> None:
    with open(mounted.where / "info") as held:
        with pytest.raises(drvs.Busy, match="in use"):
            fuse.umount(str(mounted.where))
        fuse.umount(str(mounted.where), lazy=True)
        assert held.read().startswith("nodeid=0\n")
    mounted.wait_gone()


# ---- refusals ----


def test_places_that_cannot_be_mounted_on_are_named(mounted: Mount, served: nodes.RunningNode, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, what in ((mounted.where, "already"), (tmp_path, "not empty"), (tmp_path / "no", "No such file")):
        with pytest.raises(drvs.DrvsError, match=what):
            fuse.mount(str(served.runtime_dir), str(place))
    with pytest.raises(drvs.DrvsError, match="not a directory"):
        fuse.mount(str(served.runtime_dir), str(tmp_path / "file"))
    with pytest.raises(drvs.DrvsError, match="no view is mounted"):
        fuse.umount(str(tmp_path))


@pytest.mark.parametrize(
    ("lacks", "said", "step"),
    [("mfusepy", "mfusepy", "pip install"), ("helper", "fusermount3", "fuse3"), ("device", "/dev/none", "modprobe")],
)
def test_what_the_host_lacks_is_said_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacks: str, said: str, step: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if lacks == name else name)
    monkeypatch.setattr("shutil.which", lambda name: None if lacks == "helper" else name)
    monkeypatch.setattr(needs, "DEVICE", "/dev/none" if lacks == "device" else "/dev/null")
    with pytest.raises(drvs.NotSupported, match=said) as caught:
        fuse.mount("/nonexistent", str(tmp_path))
    assert step in str(caught.value.hint)


def test_why_no_process_could_serve_it_is_passed_on(needs_fuse: None, mountpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(drvs.NotSupported, match=r"No such file or directory: '.*private'"):
        fuse.mount(str(tmp_path), str(mountpoint))
    assert str(mountpoint) not in fuse.mounted()


# ---- other users ----


def _read(path: str) -> str | int:
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return error.errno or 0


@pytest.mark.root
@pytest.mark.parametrize("allowed", [False, True])
def test_other_users_read_it_if_they_are_allowed_to(mounting: Callable[..., Mount], allowed: bool) -> None:
    mounted = mounting(allow_other=allowed)
    mounted.where.parent.chmod(0o755)
    found = users.as_nobody(_read, f"{mounted.where}/info")
    assert found == (mounted.text("info") if allowed else errno.EACCES)


def _own_view(place: str) -> tuple[str, list[str], int]:
    """An ordinary user's node and mount: what is read there, what is mounted, and what a second look at it gives."""
    launch.up(f"{place}/node")
    try:
        os.mkdir(f"{place}/view")
        fuse.mount(f"{place}/node", f"{place}/view")
        with open(f"{place}/view/info") as file:
            text = file.read()
        fuse.umount(f"{place}/view")
        return text, fuse.mounted(), os.stat(f"{place}/view").st_uid
    finally:
        launch.down(f"{place}/node")


def test_a_device_that_is_closed_to_the_user_is_missing_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_is_device", lambda path: True)
    monkeypatch.setattr(os, "access", lambda path, mode: path != needs.DEVICE)
    found = [hint for what, hint in needs.missing() if what == "/dev/fuse may not be opened by this user"]
    assert found == [hint for hint in found if "chmod 0666 /dev/fuse" in hint]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("fuse: failed to open /dev/fuse: Permission denied", "chmod 0666 /dev/fuse"),
        ("fuse: device not found, try 'modprobe fuse' first: /dev/fuse", "modprobe fuse"),
        ("fusermount3: mount failed: Operation not permitted", "--device /dev/fuse"),
    ],
)
def test_what_libfuse_said_of_its_device_leads_to_the_remedy(said: str, remedy: str) -> None:
    assert remedy in str(needs.refused(said))


def _missing() -> list[tuple[str, str]]:
    return [*needs.missing()]


@pytest.mark.root
def test_an_ordinary_user_mounts_the_view_of_his_own_node(needs_fuse: None, nothing_left: None) -> None:
    for what, _ in users.as_nobody(_missing):
        pytest.skip(what)
    with tempfile.TemporaryDirectory(prefix="drvs-") as place:
        os.chown(place, users.NOBODY, users.NOBODY)
        text, left, owner = users.as_nobody(_own_view, place)
    assert text.startswith("nodeid=0\n")
    assert not [where for where in left if where.startswith(place)]
    assert owner == users.NOBODY
    wait_unmounted(f"{place}/view")
