"""Why a client can or cannot connect to a local socket: looked up, decided, and put into words."""
