"""Security modules, from files like those of /sys and /proc."""

import os
from pathlib import Path

import pytest

from localechod.explain import security
from localechod.explain.security import Security, read_labels


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("_SELINUX", "_APPARMOR", "_SMACK"):
        monkeypatch.setattr(security, name, tmp_path / name)
    return tmp_path


def test_without_a_module_no_label_is_read(modules: Path) -> None:
    assert read_labels(os.getpid(), (1,), b"/") == Security("")
    assert Security("").is_open


@pytest.mark.parametrize(
    ("file", "text", "module"),
    [
        ("_SELINUX", "1", "SELinux"),
        ("_SELINUX", "0", ""),  # permissive: it only writes its log
        ("_APPARMOR", "Y\n", "AppArmor"),
        ("_APPARMOR", "N\n", ""),
    ],
)
def test_an_active_module_is_named(modules: Path, file: str, text: str, module: str) -> None:
    (modules / file).write_text(text, encoding="ascii")
    assert read_labels(os.getpid(), (os.getpid(),), b"/").module == module


def test_smack_is_recognized_by_its_file_system(modules: Path) -> None:
    (modules / "_SMACK").mkdir()
    assert read_labels(os.getpid(), (), b"").module == "Smack"


def test_the_label_of_a_process_that_has_ended_is_unknown() -> None:
    assert security._label(0) == ""


@pytest.mark.parametrize(
    ("client", "server", "is_open"),
    [
        ("unconfined", "unconfined", True),
        ("", "", True),
        ("unconfined", "dockerd (complain)", True),
        ("unconfined", "dockerd (enforce)", False),
        ("cupsd (enforce)", "unconfined", False),
    ],
)
def test_apparmor_is_open_where_it_confines_neither_side(
    client: str, server: str, *, is_open: bool
) -> None:
    assert Security("AppArmor", client, (server,)).is_open == is_open


def test_selinux_is_never_open() -> None:
    assert not Security("SELinux", "unconfined_t").is_open
