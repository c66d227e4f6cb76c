"""localechod: the reference peer for local (Unix domain) sockets on Linux."""

__version__ = "0.1.1"
