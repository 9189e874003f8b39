"""What can go wrong with an image; each error says what to do next in `hint`."""

from __future__ import annotations


class ImageError(RuntimeError):
    """A dump or a restore failed; the process that was dumped runs on, and nothing half-made is left.

    Attributes:
        hint: the next step to take, or an empty string.
    """

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(f"{text} {hint}".rstrip())
        self.hint = hint


class Refused(ImageError):
    """The process has, or is, something that an image cannot keep; the text names it. The process was left as it
    was."""


class BadImage(ImageError):
    """The stream is no image, or a damaged one. Make it again: nothing of it was run."""


class Mismatch(ImageError):
    """The image does not fit this machine, kernel, user or these files; the text names each difference."""
