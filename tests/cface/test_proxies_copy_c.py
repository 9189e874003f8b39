"""tests/compat/test_proxies_copy.py over the C library."""

from support import cface

globals().update(cface.suite("compat/test_proxies_copy.py"))
