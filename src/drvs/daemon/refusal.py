"""How noded says no: raised by whoever finds out, turned into an answer by whoever was asked."""


class Refused(Exception):
    """A handler's way to answer with a code. `detail` is for people: what, precisely, is wrong."""

    def __init__(self, code: int, detail: str | None = None) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
