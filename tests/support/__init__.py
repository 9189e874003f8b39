"""What tests share: child processes with a pipe to talk over, a watchdog for hangs, leak checks, users, nodes."""
