"""Tests on another kernel, in a virtual machine; `guest` is the harness."""
