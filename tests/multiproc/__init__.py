"""Many real processes in one VM: killed, stopped, restarted, and nobody sleeps for ever."""
