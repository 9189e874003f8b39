"""tests/compat/test_ipc_codes.py over the C library."""

from support import cface

globals().update(cface.suite("compat/test_ipc_codes.py"))
