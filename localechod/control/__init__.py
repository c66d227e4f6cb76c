"""The control plane: who may ask what, the gRPC service, its client, and the endpoint catalogue."""
