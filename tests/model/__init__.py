"""The core's transitions against a reference model, step by step."""
