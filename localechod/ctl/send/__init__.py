"""How `localechoctl send` talks to a peer."""
