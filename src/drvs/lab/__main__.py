"""`python -m drvs.lab FOLDER LOCK READY`: the supervisor of a lab. `drvs lab up` starts it."""

from __future__ import annotations

import sys

from drvs.lab.spec import load
from drvs.lab.supervisor import main

if __name__ == "__main__":
    sys.exit(main(load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
