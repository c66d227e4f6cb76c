"""The machine: privileges, directories and locks, systemd, logs."""
