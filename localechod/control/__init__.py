"""The control plane: access control, the gRPC service, its clients, and the endpoint catalog."""
