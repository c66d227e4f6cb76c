"""What travels over the control socket: control.proto and the code tools/generate_wire.py makes."""
