"""The core's own tests on a kernel that is older than most developers': fallbacks included, as nobody forces them."""

import sys

from qemu import guest

pytestmark = guest.marks()


def test_the_core_passes_its_tests_on_another_kernel() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", "tests/unit"]
    done = guest.run(command, timeout=1500, environment={"DRVS_TEST_PATIENCE": "20"})
    assert done.status == 0, done.output[-4000:]
