"""A relay between one command and a local socket, which shows the bytes; knows no daemon."""
