"""How patient tests are: on a machine that is slow by design (a guest in an emulator) more than usually."""

import os

FACTOR = float(os.environ.get("DRVS_TEST_PATIENCE", "1"))
"""What every time that a test waits for something is multiplied by."""
