"""What an executable image file starts: it becomes the image. Arguments: the file, then the program's own."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from drvs.procspace.image import replace
from drvs.procspace.image.errors import ImageError

NOT_RUNNABLE = 126


def main() -> NoReturn:
    """Become the image that the command line names."""
    file, *arguments = sys.argv[1:]
    try:
        replace.undump(os.open(file, os.O_RDONLY | os.O_CLOEXEC), argv=arguments)
    except (ImageError, OSError) as error:
        print(f"{file}: {error}", file=sys.stderr)
    sys.exit(NOT_RUNNABLE)


if __name__ == "__main__":
    main()
