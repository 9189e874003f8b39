"""The README's executor: a thousand calls of workers that have imported numpy before they start."""

import drvs


def norm(n: int) -> float:
    """Something that needs numpy."""
    import numpy as np

    return float(np.linalg.norm(np.arange(n)))


if __name__ == "__main__":
    with drvs.Executor(preload=["numpy"]) as executor:
        print(round(sum(executor.map(norm, range(1000)))))
