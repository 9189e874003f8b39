"""drvs image verify: is an image sound, and does it fit here?"""

from __future__ import annotations

import os

import typer

from drvs.cli.image.files import File, read, size, threads
from drvs.cli.options import Json


def verify(file: File, json: Json = False) -> None:
    """Check every checksum of an image, and whether it fits this machine, kernel and these files."""
    from drvs.procspace import image
    from drvs.procspace.image.checks import check_fit
    from drvs.ui.progress import steps
    from drvs.ui.table import show_json

    with read(file) as fd:
        total = max(1, os.fstat(fd).st_size)
        with steps(1) as bar:
            meta, page_bytes = image.verify(fd, lambda now: bar.at(now / total))
    check_fit(meta)
    if json:
        show_json({"pid": meta.pid, "page_bytes": page_bytes, "sound": True, "fits": True})
    else:
        typer.echo(f"{file} is sound and fits here: {threads(len(meta.threads))}, {size(page_bytes)} of pages.")
