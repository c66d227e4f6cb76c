"""localechoctl top: rates, queues and errors as they change."""
