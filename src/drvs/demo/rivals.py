"""The same 32 answers the usual way: `python -m drvs.demo.rivals spawn|forkserver SIZE STEP WEIGHTS`.

Processes of multiprocessing are told the weights; what they need besides (numpy, the points) each makes for itself.
forkserver's server has imported all modules before. Prints one JSON object.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from typing import Any


def main(method: str, size: str, step: str, weights: str) -> None:
    """Start them, and wait for the last answer."""
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["drvs.demo.fit"])
    began = time.perf_counter()
    answers = context.SimpleQueue()
    told = (int(size), int(step), json.loads(weights))
    processes = [context.Process(target=work, args=(answers, rank, *told)) for rank in range(int(size))]
    for process in processes:
        process.start()
    errors = dict(answers.get() for _ in processes)
    took = time.perf_counter() - began
    for process in processes:
        process.join()
    print(json.dumps({"seconds": took, "errors": [errors[rank] for rank in range(int(size))]}))


def work(answers: Any, rank: int, size: int, step: int, weights: list[float]) -> None:
    """Be one of them."""
    from drvs.demo.fit import branch

    answers.put(branch(rank, size, step, weights))


if __name__ == "__main__":
    main(*sys.argv[1:])
