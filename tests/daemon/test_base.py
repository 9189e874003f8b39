"""The base layer: codes, errors, limits, paths, features."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from drvs.base import clock, errors, features, hints, ids, limits, paths
from drvs.base.codes import GUIDE_ALIASES, Code
from drvs.base.flags import DebugMask
from support.users import as_nobody

MATCHING_BUILTIN = {
    Code.TIMEDOUT: TimeoutError, Code.AGAIN: BlockingIOError, Code.DSTDIED: ConnectionError,
    Code.SRCDIED: ConnectionError,
    Code.PERM: PermissionError, Code.CALLDENIED: PermissionError, Code.TRAPDENIED: PermissionError,
    Code.NOTREADY: RuntimeError, Code.LOCKED: RuntimeError, Code.NOTBIND: RuntimeError, Code.ENDPOINT: ValueError,
    Code.RANGE: ValueError, Code.INVAL: ValueError, Code.DRVSINIT: ConnectionError, Code.VMNOTRUN: ConnectionError,
    Code.SHUTDOWN: ConnectionError, Code.BUSY: RuntimeError, Code.NOMEM: MemoryError, Code.FAULT: OSError,
    Code.PROCSTS: RuntimeError, Code.NOPROXY: ConnectionError, Code.WOKENUP: RuntimeError,
    Code.RESTARTSYS: InterruptedError,
    Code.NAMETOOLONG: ValueError, Code.MSGSIZE: ValueError, Code.NOSYS: NotImplementedError, Code.NOTDIR: OSError,
}  # fmt: skip


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_meaning_a_next_step_and_a_canonical_name(code: Code) -> None:
    assert code.meaning
    assert not code.meaning.endswith(".")
    assert hints.HINTS[code].endswith(".")
    assert code.canonical.startswith(("EMOL", "-E", "OK"))


def test_numbers_that_are_no_code_are_generic() -> None:
    assert Code.of(-109) is Code.DSTDIED
    assert Code.of(-99999) is Code.GENERIC
    assert Code["PERM"].canonical == "-EPERM"
    assert Code.TOOBIG.canonical == "EMOL2BIG"
    assert GUIDE_ALIASES["EMOLNOTVMRUN"] is Code.VMNOTRUN


def test_an_error_reads_like_a_sentence_and_ends_with_the_next_step() -> None:
    error = errors.make_error(Code.DSTDIED, "sendrec", endpoint=70, peer=5, vm=0, vm_name="lab")
    assert str(error) == (
        "sendrec to 5 from 70 in VM 0 ('lab'): the destination died or was unbound (EMOLDSTDIED). "
        "Bind it again or look it up by name, then repeat the call."
    )
    assert str(errors.make_error(Code.TIMEDOUT, "receive", endpoint=70, peer=ids.ANY)).startswith(
        "receive from ANY by 70:"
    )
    assert "may run twice" in str(errors.make_error(Code.TIMEDOUT, "sendrec"))


@pytest.mark.parametrize(("code", "builtin"), MATCHING_BUILTIN.items())
def test_errors_inherit_the_builtin_that_matches(code: Code, builtin: type[Exception]) -> None:
    error = errors.make_error(code, "bind", vm=3, detail="why")
    assert isinstance(error, builtin)
    assert isinstance(error, errors.DrvsError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code, type(again)) == (str(error), code, type(error))


def test_the_same_code_means_damage_in_an_ipc_call_and_a_bad_argument_elsewhere() -> None:
    assert errors.error_class(Code.BADPROC, "send") is errors.CorruptStateError
    assert errors.error_class(Code.BADPROC, "bind") is errors.OutOfRange


def test_ids_are_integers_that_say_what_they_are() -> None:
    assert repr(ids.EndpointId(70)) == "EndpointId(70)"
    assert (str(ids.EndpointId(70)), repr(ids.ANY), int(ids.SELF)) == ("70", "EndpointId(ANY)", 35534)
    assert ids.endpoint_name(27342) == "NONE"


def test_the_debug_mask_has_the_guides_bits() -> None:
    assert (DebugMask.GENERIC, DebugMask.PROCSEM) == (0x2, 0x40000)
    assert len(DebugMask) == 13


def test_clocks_and_deadlines() -> None:
    assert clock.deadline_after(None) is None
    assert clock.deadline_after_ms(-1) is None
    assert clock.remaining(clock.now_ns() - 5) == 0
    left = clock.remaining(clock.deadline_after(60))
    assert left is not None
    assert 59 < left <= 60


# ---- paths ---------------------------------------------------------------------------------------------------------


def test_the_runtime_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRVS_RUNTIME_DIR", "/somewhere/else")
    assert paths.own_runtime_dir() == "/somewhere/else"
    monkeypatch.delenv("DRVS_RUNTIME_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert paths.own_runtime_dir() == "/run/drvs"
    monkeypatch.setenv("DRVS_NODE", "3")
    assert paths.own_runtime_dir() == "/run/drvs-3"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert paths.own_runtime_dir() == "/run/user/1000/drvs-3"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.delenv("DRVS_NODE")
    assert paths.own_runtime_dir() == "/tmp/drvs-1000"
    assert paths.find_runtime_dir("relative") == os.path.abspath("relative")


@pytest.mark.parametrize("text", ["-1", "4096", "x", "1.5", "٣"])
def test_a_node_id_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DRVS_NODE", text)
    with pytest.raises(ValueError, match="from 0 to 4095"):
        paths.node_id()


def test_directories_that_are_not_safe_are_named(tmp_path: Path) -> None:
    assert paths.check_owned(str(tmp_path), os.geteuid()) is None
    assert "belongs to user" in str(paths.check_owned(str(tmp_path), 12345))
    tmp_path.chmod(0o775)
    assert "chmod go-w" in str(paths.check_owned(str(tmp_path), os.geteuid()))


# ---- features and limits -------------------------------------------------------------------------------------------


def test_features_are_disabled_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRVS_DISABLE", "pidfd, seals,unicorns")
    assert not features.has("pidfd")
    assert not features.has("pidfd_thread")
    assert not features.has("seals")
    assert features.unknown_names() == ["unicorns"]
    monkeypatch.delenv("DRVS_DISABLE")
    assert features.has("seals")
    with pytest.raises(KeyError):
        features.has("unicorns")


def _limits_program(text: str) -> subprocess.CompletedProcess[str]:
    program = "from drvs.base import limits; print(limits.SPIN_US, limits.TABLE['spin_us'][1], limits.unknown_names())"
    environment = {**os.environ, "DRVS_LIMITS": text}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_limits_are_changed_by_name() -> None:
    assert _limits_program("spin_us=0, cats=9").stdout == "0 20 ['cats']\n"
    assert "write name=number" in _limits_program("spin_us=fast").stderr
    assert all(default >= 0 and meaning for _, default, meaning in limits.TABLE.values())


@pytest.mark.root
def test_a_users_client_finds_the_systems_node(monkeypatch: pytest.MonkeyPatch, runtime_dir: Path) -> None:
    monkeypatch.delenv("DRVS_RUNTIME_DIR")
    monkeypatch.setattr(paths, "SYSTEM_DIR", str(runtime_dir))
    (runtime_dir / "noded.sock").touch()
    assert as_nobody(paths.find_runtime_dir) == str(runtime_dir)
