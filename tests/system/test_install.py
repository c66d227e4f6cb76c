"""`./dev install` and `./dev uninstall` on a machine with systemd."""

import pytest

from tests.system.conftest import RUNTIME, SERVICE, SETTINGS, SOCKET, install
from tests.system.machine import CHECKOUT, Machine

pytestmark = pytest.mark.xdist_group("machine")

# Written by others on occasion of it: the account database with its backups and locks, and logs.
OTHERS = (
    *(f"/etc/{name}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")),
    "/etc/.pwd.lock",
    "/var/",
    "/tmp/",  # noqa: S108 - compared, not used
    f"{CHECKOUT}/",
)


def test_install_leaves_everything_readable_for_the_account_whatever_the_umask(
    installed: Machine,
) -> None:
    places = ["/opt/localechod", "/etc/localechod", "/usr/local/lib/systemd"]
    closed = installed.run(
        *("find", *places, "-not", "-type", "l", "-not", "-perm", "-o=r", "-o"),
        *("-type", "d", "-not", "-perm", "-o=x"),
    )
    assert not closed
    writable = ("-not", "-type", "l", "(", "-not", "-user", "root", "-o", "-perm", "/022", ")")
    assert not installed.run("find", *places, *writable)
    assert installed.run("localechoctl", "--version", user="nobody").startswith("localechoctl ")


def test_man_finds_the_pages(installed: Machine) -> None:
    if installed.process("which", "man").returncode != 0:
        pytest.skip("no man in this machine")
    for page in ("localechod.8", "localechoctl.1", "localechod.toml.5"):
        name, _, section = page.rpartition(".")
        found = installed.run("man", "-w", section, name, user="nobody")
        assert found.startswith("/usr/local/")  # by its symlink man or by share/man
        assert found.endswith(f"/man{section}/{page}")


def test_completions_are_where_shells_look(installed: Machine) -> None:
    for name in (
        "bash-completion/completions/localechoctl",
        "zsh/site-functions/_localechoctl",
        "fish/vendor_completions.d/localechoctl.fish",
    ):
        assert "_LOCALECHOCTL_COMPLETE" in installed.run("cat", f"/usr/local/share/{name}")


def test_install_makes_a_system_account_without_a_login(installed: Machine) -> None:
    entry = installed.run("getent", "passwd", "localecho").split(":")
    assert int(entry[2]) < 1000
    assert entry[6] == "/usr/sbin/nologin"
    assert installed.run("id", "-Gn", "localecho") == "localecho"


def test_install_starts_nothing_and_names_the_commands_that_do(machine: Machine) -> None:
    if "/opt/localechod/installed" in machine.written():
        machine.run(f"{CHECKOUT}/dev", "uninstall")
    said = install(machine)
    assert "systemctl start localechod" in said
    assert "systemctl enable localechod" in said
    assert machine.show(SERVICE, "ActiveState") == "inactive"
    assert machine.show(SERVICE, "UnitFileState") == "disabled"


def test_install_twice_changes_nothing(installed: Machine) -> None:
    before = installed.run("find", "/opt/localechod", "/etc/localechod", "-printf", "%p %T@ %i\n")
    assert "nothing changed" in install(installed)
    after = installed.run("find", "/opt/localechod", "/etc/localechod", "-printf", "%p %T@ %i\n")
    assert after == before


def test_install_keeps_an_existing_configuration_and_repairs_the_rest(service: Machine) -> None:
    mine = service.run("cat", SETTINGS) + "\n# mine\n"
    service.write(SETTINGS, mine)
    service.run("rm", "/usr/local/bin/localechoctl")
    said = install(service)
    assert "/usr/local/bin/localechoctl" in said
    assert "systemctl restart localechod" in said  # it runs, and is left alone
    assert service.run("cat", SETTINGS) == mine.strip()
    assert service.show(SERVICE, "ActiveState") == "active"


def test_install_does_not_replace_a_command_of_somebody_else(installed: Machine) -> None:
    link = "/usr/local/bin/localechoctl"
    installed.run("rm", link)
    installed.write(link, "mine")
    refused = installed.process(f"{CHECKOUT}/dev", "install")
    assert refused.returncode == 1
    assert f"{link} exists and was not installed by this script" in refused.stderr
    assert installed.run("cat", link) == "mine"
    installed.run("rm", link)
    install(installed)


def test_the_unit_and_its_companions_have_no_faults_in_systemds_eyes(installed: Machine) -> None:
    checked = installed.process(
        "systemd-analyze", "verify", "--man=no", f"/usr/local/lib/systemd/system/{SERVICE}"
    )
    faults = [line for line in checked.stderr.splitlines() if "localechod" in line]
    assert (checked.returncode, faults) == (0, [])
    installed.run("rm", "-rf", RUNTIME)
    installed.run("systemd-tmpfiles", "--create")
    assert installed.run("stat", "-c", "%U:%G %a", RUNTIME) == "localecho:localecho 755"


def test_the_unit_is_hardened(installed: Machine) -> None:
    judged = installed.run("systemd-analyze", "security", "--no-pager", SERVICE)
    verdict = judged.splitlines()[-1]
    exposure = float(verdict.partition("level for localechod.service: ")[2].split()[0])
    assert exposure <= 2.4, judged


def test_uninstall_stops_the_service_and_leaves_nothing_but_the_configuration(
    machine: Machine,
) -> None:
    if "/opt/localechod/installed" in machine.written():
        machine.run(f"{CHECKOUT}/dev", "uninstall")
    machine.run("rm", "-rf", "/etc/localechod")
    before = machine.written()
    install(machine)
    machine.run("systemctl", "enable", "--now", SOCKET)
    machine.run("systemctl", "enable", "--now", SERVICE)
    assert machine.run("localechoctl", "send", "stream", "hello") == "Hi, hello"
    machine.run(f"{CHECKOUT}/dev", "uninstall")
    left = {path for path in machine.written() - before if not path.startswith(OTHERS)}
    # This machine may have the directory from an installation of its own.
    assert left - {"/etc/localechod"} == {SETTINGS}
    for unit in (SERVICE, SOCKET):
        assert machine.show(unit, "LoadState") == "not-found"
        assert machine.show(unit, "ActiveState") == "inactive"
    assert machine.process("getent", "passwd", "localecho").returncode == 2
    assert machine.process("getent", "group", "localecho").returncode == 2
    assert machine.process("test", "-e", RUNTIME).returncode == 1
    assert machine.process("pgrep", "-f", "localechod").returncode == 1


def test_uninstall_twice_says_that_there_is_nothing_to_do(machine: Machine) -> None:
    machine.run(f"{CHECKOUT}/dev", "uninstall")
    again = machine.process(f"{CHECKOUT}/dev", "uninstall")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
