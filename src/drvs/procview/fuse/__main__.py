"""The process that serves a mount: what `drvs mount` starts.

python -m drvs.procview.fuse --runtime-dir DIR [--ready-fd N] [--allow-other] MOUNTPOINT
"""

from __future__ import annotations

import argparse
import sys

from drvs.procview.fuse.serve import serve


def main() -> None:
    """Serve what the command line names."""
    parser = argparse.ArgumentParser(prog="drvs.procview.fuse")
    parser.add_argument("--runtime-dir", required=True)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--allow-other", action="store_true")
    parser.add_argument("where")
    given = parser.parse_args()
    try:
        serve(given.runtime_dir, given.where, allow_other=given.allow_other, ready_fd=given.ready_fd)
    except (OSError, RuntimeError) as error:
        sys.exit(f"mount: {error}")


if __name__ == "__main__":
    main()
