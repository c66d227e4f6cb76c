"""Framing: where messages begin and end in a stream's bytes, without I/O."""
