"""What a checker finds."""


class Violation(AssertionError):
    """Something happened that must not, or did not happen that must. The text says what, and to whom."""
