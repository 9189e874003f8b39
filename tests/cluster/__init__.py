"""Programs on several nodes."""
