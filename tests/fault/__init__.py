"""Processes killed at any instruction, members that scribble over their VM, and the C programs that do it."""
