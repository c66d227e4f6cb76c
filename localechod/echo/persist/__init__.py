"""What of the connections survives a restart, and what survives a crash."""
