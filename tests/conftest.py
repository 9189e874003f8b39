"""Fixtures and rules for every test: a watchdog, children that are closed, nothing left behind, a node to work with."""

import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from drvs import core
from drvs.api import endpoint
from drvs.lab import Lab
from support import children, labs, leaks, nodes, procfs, watchdog

# Reports must reach the terminal although pytest captures descriptor 2 during a test.
REPORT_FD = os.dup(2)


# How long an example takes says more about the machine than about us; what hangs is the watchdog's.
settings.register_profile("drvs", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("drvs")


def pytest_configure(config: pytest.Config) -> None:
    """Adopt orphans, so that a daemon that outlives its test is seen; register our markers."""
    config.addinivalue_line("markers", "deadline(seconds): how long this test may take before the watchdog ends it")
    procfs.prctl(procfs.PR_SET_CHILD_SUBREAPER, 1)
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:  # by nohup, or in the background: what we start would too
            signal.signal(number, usual)
    warnings.filterwarnings("ignore", message=".*fork.*multi-threaded", category=DeprecationWarning)


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_directory() -> Iterator[None]:
    """Temporary files of this run, and of what it starts, stand apart from those of others; any user may make some."""
    place = tempfile.mkdtemp(prefix="dt-")
    os.chmod(place, 0o1777)
    usual, tempfile.tempdir = tempfile.tempdir, place
    os.environ["TMPDIR"] = place
    yield
    tempfile.tempdir = usual
    shutil.rmtree(place, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where we are not."""
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs euid 0"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch every test, its fixtures included."""
    marker = item.get_closest_marker("deadline")
    usual = watchdog.SLOW_S if item.get_closest_marker("slow") else watchdog.QUICK_S
    with watchdog.watched(item.nodeid, marker.args[0] if marker else usual, REPORT_FD):
        return (yield)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test touches a node of the user who runs it; children are closed whatever happens; errors are the API's."""
    core.set_error_factory(endpoint._error)  # tests of the bare core choose others for themselves
    core.set_copy_fallback(endpoint._copy_by_noded)
    for name in ("DRVS_NODE", "DRVS_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRVS_RUNTIME_DIR", "/nonexistent/drvs-test-without-a-node")
    yield
    children.close_all()


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fail the test if it leaves processes, memfds, sockets or pidfds behind."""
    before = leaks.Holdings()
    yield
    children.close_all()
    left = leaks.left_since(before)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of this test's own, with a path short enough for a socket, open to other users."""
    path = Path(tempfile.mkdtemp(prefix="drvs-"))
    path.chmod(0o755)
    monkeypatch.setenv("DRVS_RUNTIME_DIR", str(path))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def node(runtime_dir: Path, nothing_left: None) -> Iterator[nodes.RunningNode]:
    """A real noded on `runtime_dir`, initialised; stopped at the end, when nothing of it may be left."""
    running = nodes.start(runtime_dir)
    yield running
    children.close_all()
    running.stop()


@pytest.fixture
def vm(node: nodes.RunningNode) -> Iterator[object]:
    """A VM named 'lab' on `node`, for tests through the Python API."""
    import drvs

    with drvs.connect(node.runtime_dir) as connection:
        yield connection.create_vm("lab")


KINDS_OF_LAB = [pytest.param(True, marks=pytest.mark.root, id="namespaces"), pytest.param(False, id="loopback")]


@pytest.fixture(params=KINDS_OF_LAB)
def namespaces(request: pytest.FixtureRequest) -> bool:
    """Run the test on a lab of both kinds."""
    return bool(request.param)


@pytest.fixture
def lab(namespaces: bool) -> Iterator[Lab]:
    """A lab of three nodes, of both kinds."""
    with labs.lab(3, namespaces=namespaces) as running:
        yield running


@pytest.fixture
def requires_root() -> None:
    """Skip the test unless it runs with euid 0."""
    if os.geteuid() != 0:
        pytest.skip("needs euid 0")


@pytest.fixture
def python() -> str:
    """The interpreter to start programs with."""
    return sys.executable
