"""One suite over every way to start workers: same interface, same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import drvs
from support.executor_gate import Gate

METHODS = ["spawn", "fork", "image"]

Make = Callable[..., drvs.Executor]


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    """How workers are started in this test."""
    return str(request.param)


@pytest.fixture
def make(method: str, nothing_left: None) -> Iterator[Make]:
    """Makes executors that start their workers by `method`; they are shut down, and nothing of them may be left."""
    made: list[drvs.Executor] = []

    def executor(workers: int = 1, **settings: Any) -> drvs.Executor:
        made.append(drvs.Executor(workers, start_method=method, **settings))
        return made[-1]

    yield executor
    for one in made:
        one.shutdown(cancel_futures=True)
        assert one.info["why"] == ""


@pytest.fixture(scope="module", params=METHODS)
def pool(request: pytest.FixtureRequest) -> Iterator[drvs.Executor]:
    """An executor of two workers for all tests of a module that leave it as it was."""
    with drvs.Executor(2, start_method=request.param, preload=["support.executor_calls"]) as executor:
        assert executor.submit(pow, 2, 3).result() == 8
        assert executor.start_method == request.param
        yield executor


@pytest.fixture
def gate(tmp_path: Any) -> Gate:
    """A gate for one call."""
    return Gate(str(tmp_path / "gate"))
