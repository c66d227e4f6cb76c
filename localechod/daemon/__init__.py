"""The daemon: its start, the running service, what survives a restart or a crash."""
