"""Tools for local (AF_UNIX) sockets, independent of echo, systemd and gRPC."""
