"""Nodes of several machines as one cluster."""
