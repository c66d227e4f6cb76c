"""Why a client can or cannot connect to a local socket: facts, the decision, and the report."""
