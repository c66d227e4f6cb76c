"""Benchmarks of the daemon, beside plain C servers and other programs: `./dev bench`."""
