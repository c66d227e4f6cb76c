"""How fast it is, beside what others are: `./dev bench`."""
