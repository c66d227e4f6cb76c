"""Connection-oriented endpoints: listener, stream and seqpacket connections."""
