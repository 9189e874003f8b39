"""tests/compat/test_nodes.py over the C library."""

from support import cface

globals().update(cface.suite("compat/test_nodes.py"))
