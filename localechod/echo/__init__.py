"""The data plane: endpoints, their life cycle, and the supervisor that keeps them."""
