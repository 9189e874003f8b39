"""The process space: running programs as things that can be put aside, brought back and, later, moved and copied."""
