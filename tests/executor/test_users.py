"""An ordinary user's executor: every way to start workers, and nothing of it is left."""

import platform

import pytest

import drvs
from support import executor_calls as calls
from support import users


def answers(method: str) -> list[object]:
    """Use an executor as its caller does."""
    with drvs.Executor(2, start_method=method) as executor:
        found: list[object] = [executor.submit(calls.add, 2, 3).result(), executor.start_method, executor.info["why"]]
        found.append(sorted(executor.map(abs, [-3, 2, -1])))
        dead = executor.submit(calls.die, 3).exception()
        return [*found, type(dead).__name__, executor.submit(calls.echo, "still there").result()]


@pytest.mark.root
def test_an_ordinary_user_has_warm_workers(method: str, nothing_left: None) -> None:
    if method == "image" and platform.machine() != "x86_64":
        pytest.skip("process images are for x86-64")
    expected = [5, method, "", [1, 2, 3], "WorkerDiedError", "still there"]
    assert users.as_nobody(answers, method, timeout=60) == expected
