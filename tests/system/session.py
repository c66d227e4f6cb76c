"""An ordinary user of the machine: their home, copy of the checkout and service manager."""

import shlex
import subprocess

from tests.system.machine import CHECKOUT, Machine, eventually

NAME = "le-alice"
HOME = f"/home/{NAME}"
PROJECT = f"{HOME}/localechod"
SERVICE = "localechod.service"
SOCKET = "localechod.socket"

# .venv is told that it is at home here; what else is made from other files is not copied.
_COPY = """
mkdir -p {project} && cd {checkout}
tar c --exclude=./.git --exclude=./build --exclude=__pycache__ --exclude=./.*_cache . |
    tar x -C {project}
cd {project} && .venv/bin/python tools/digest.py environment >.venv/made-run
chown -R {name}: {project}
"""
# Words that mean the user's own manager, where a user says them.
_MANAGERS = {"systemctl", "systemd-run", "systemd-analyze", "journalctl"}


class Session(Machine):
    """The machine for this user: every command runs as them, systemctl with --user."""

    def __init__(self, machine: Machine) -> None:
        """Keep whose session it is; the machine has to have the account."""
        vars(self).update(vars(machine))
        self.uid = machine.run("id", "-u", NAME)
        self.runtime = f"/run/user/{self.uid}/localechod"
        self.variables = {
            "HOME": HOME,
            "XDG_RUNTIME_DIR": f"/run/user/{self.uid}",
            "PATH": f"{HOME}/.local/bin:/usr/local/bin:/usr/bin:/bin",
        }

    def process(
        self, *argv: str, user: str = "root", stdin: str = "", seconds: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the user, in their home; "root", the default, means this user."""
        program, *rest = argv
        words = [program, "--user", *rest] if program in _MANAGERS else list(argv)
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        return super().process(
            *("env", f"--chdir={HOME}", *variables, *words),
            user=NAME if user == "root" else user,
            stdin=stdin,
            seconds=seconds,
        )

    def without_session(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a shell by su or a job of cron would, without XDG_RUNTIME_DIR."""
        return self.process("env", "-u", "XDG_RUNTIME_DIR", "sh", "-c", script)

    def on_terminal(self, *argv: str) -> str:
        """Run a command on a terminal; return what appears there."""
        return self.run("script", "-qec", shlex.join(argv), "/dev/null").replace("\r", "")


def log_in(machine: Machine) -> Session | None:
    """Make the account with its copy of the checkout, and start its manager; None: there is none.

    Without pam_systemd a user's manager does not start.
    """
    if machine.process("id", NAME).returncode != 0:
        machine.run("useradd", "--create-home", "--home-dir", HOME, "--shell", "/bin/sh", NAME)
        machine.run("sh", "-c", _COPY.format(project=PROJECT, checkout=CHECKOUT, name=NAME))
    session = Session(machine)
    machine.run("systemctl", "start", f"user@{session.uid}.service", check=False)
    if machine.show(f"user@{session.uid}.service", "ActiveState") != "active":
        return None
    eventually(
        lambda: session.run("systemctl", "is-system-running", check=False) == "running",
        20,
        "the user's manager to be up",
    )
    return session
