"""How a process of the demo tells what happens to it: one JSON object a line on stdout (see `cast.py`)."""

from __future__ import annotations

import json
import sys
from typing import Any


def report(event: str, **facts: Any) -> None:
    """Tell the demo what happened."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()
