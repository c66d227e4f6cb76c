"""localechoctl, the command line."""
