"""The data plane: framing, endpoints, their life cycle, and the supervisor that keeps them."""
