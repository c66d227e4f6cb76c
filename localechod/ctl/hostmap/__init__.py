"""The map of this host: units and processes, and the local sockets between them."""
