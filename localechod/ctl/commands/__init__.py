"""The commands of localechoctl, a module each."""
