"""tests/compat/test_node_and_vm.py over the C library."""

from support import cface

globals().update(cface.suite("compat/test_node_and_vm.py"))
