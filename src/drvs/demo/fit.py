"""The script of the second act: `python -m drvs.demo.fit` fits a curve to points, in thousands of small steps.

What happens goes to stdout, one JSON object a line (see `cast.py`). It knows of images what the two hooks at the end
say: it tells at which step it is put aside and where it goes on, and a copy takes a penalty by its rank, so that each
comes to another answer. Without numpy it has fewer points.
"""

from __future__ import annotations

import os
import random
from typing import Any

from drvs.demo.report import report

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]

POINTS = 50_000 if np else 300
FEATURES = 8
STEPS = 5000
BRANCH_STEPS = 5
"""Steps that a copy takes."""
_RATE = 0.1
_REPORT_EVERY = 50


def penalty(rank: int, size: int) -> float:
    """Return what rank `rank` of `size` has to pay for large weights: from 0.0001 to 1."""
    return float(10 ** (-4 + 4 * rank / max(1, size - 1)))


class Fit:
    """Least squares by gradient descent: powers of x against a disturbed parabola."""

    def __init__(self) -> None:
        dice = random.Random(7)
        self.x, self.wanted = _points(dice)
        self.weights: Any = _zeros()
        self.step = 0
        self.penalty = 0.0
        self.steps = STEPS
        self.error = 0.0

    def advance(self) -> None:
        """Take one step."""
        slope, self.error = _slope(self.x, self.wanted, self.weights)
        self.weights = _moved(self.weights, slope, self.penalty)
        self.step += 1

    def run(self) -> None:
        """Take all steps."""
        while self.step < self.steps:
            self.advance()
            if self.step % _REPORT_EVERY == 0 and self.steps == STEPS:
                report("step", step=self.step, error=float(self.error))


def branch(rank: int, size: int, step: int, weights: list[float]) -> tuple[int, float]:
    """Do what a copy does, from nothing but the weights; rank and the error it comes to."""
    fit = Fit()
    fit.weights, fit.step = _zeros() + weights if np else weights, step
    fit.penalty, fit.steps = penalty(rank, size), step + BRANCH_STEPS
    fit.run()
    return rank, float(fit.error)


# ---- the arithmetic, with numpy and without --------------------------------------------------------------------------


def _zeros() -> Any:
    return np.zeros(FEATURES) if np else [0.0] * FEATURES


def _points(dice: random.Random) -> tuple[Any, Any]:
    if np:
        numbers = np.random.default_rng(7)
        x = numbers.uniform(-1, 1, POINTS)
        return np.vander(x, FEATURES, increasing=True), 1 - 2 * x**2 + numbers.normal(0, 0.1, POINTS)
    xs = [dice.uniform(-1, 1) for _ in range(POINTS)]
    return [[x**power for power in range(FEATURES)] for x in xs], [1 - 2 * x**2 + dice.gauss(0, 0.1) for x in xs]


def _slope(x: Any, wanted: Any, weights: Any) -> tuple[Any, float]:
    """The slope of the error, and the error."""
    if np:
        off = x @ weights - wanted
        return x.T @ off / POINTS, float(off @ off) / POINTS
    offs = [sum(map(float.__mul__, row, weights)) - want for row, want in zip(x, wanted, strict=True)]
    slope = [sum(off * row[power] for off, row in zip(offs, x, strict=True)) / POINTS for power in range(FEATURES)]
    return slope, sum(off * off for off in offs) / POINTS


def _moved(weights: Any, slope: Any, penalty: float) -> Any:
    if np:
        return weights - _RATE * (slope + penalty * weights)
    return [weight - _RATE * (down + penalty * weight) for weight, down in zip(weights, slope, strict=True)]


# ---- the script ------------------------------------------------------------------------------------------------------


def main() -> None:
    """Fit, and let images be made of it."""
    from drvs import hooks

    fit = Fit()

    @hooks.before_dump
    def put_aside() -> None:
        report("aside", step=fit.step, weights=list(map(float, fit.weights)))

    @hooks.after_restore
    def brought_back(info: hooks.RestoreInfo) -> None:
        if info.size > 1:
            fit.penalty, fit.steps = penalty(info.rank, info.size), fit.step + BRANCH_STEPS
        else:
            report("back", step=fit.step)

    report("begun", points=POINTS, steps=STEPS, numpy=np.__version__ if np else "")
    fit.run()
    info = hooks.ready()
    report("answer", rank=info.rank, size=info.size, step=fit.step, error=float(fit.error))
    if info.size > 1:
        os._exit(0)  # as forkserver's do: an interpreter that tidies up touches every page that copies share


if __name__ == "__main__":
    main()
