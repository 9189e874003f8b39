"""tests/compat/test_vcopy.py over the C library."""

from support import cface

globals().update(cface.suite("compat/test_vcopy.py"))
