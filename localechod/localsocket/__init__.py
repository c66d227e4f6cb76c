"""A toolbox for local (AF_UNIX) sockets; it knows nothing of echo, systemd or gRPC."""
