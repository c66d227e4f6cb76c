"""A runtime directory is trusted only if no other user can write to it."""

import os
import socket
from pathlib import Path

import pytest

from localechod.errors import LocalechodError
from localechod.host import runtime, runtime_directory
from localechod.host.privileges import Identity
from localechod.host.runtime_directory import check_private, prepare
from tests.integration.harness import needs_root

NOBODY = Identity("nobody", 65534, 65534, frozenset({65534}))


def test_a_directory_of_ones_own_is_created_private(sockdir: Path) -> None:
    prepare(sockdir / "run", None)
    assert (sockdir / "run").stat().st_mode & 0o7777 == 0o700
    prepare(sockdir / "run", None)  # and found good again


@needs_root
def test_the_services_directory_is_its_own_and_open_to_visitors(sockdir: Path) -> None:
    prepare(sockdir / "run", NOBODY)
    status = (sockdir / "run").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (65534, 65534, 0o755)
    prepare(sockdir / "run", NOBODY)


@needs_root
def test_an_existing_directory_keeps_its_owner_and_is_refused_for_it(sockdir: Path) -> None:
    with pytest.raises(LocalechodError) as caught:
        prepare(sockdir, NOBODY)
    assert str(caught.value) == (
        f"runtime directory {sockdir} cannot be used: it belongs to uid 0 instead of uid 65534; "
        "give it to its user (chown), or choose another one"
    )
    assert sockdir.stat().st_uid == 0


@needs_root
def test_a_directory_that_somebody_swapped_is_not_handed_over(sockdir: Path) -> None:
    (sockdir / "theirs").mkdir()
    os.chown(sockdir / "theirs", 1, 1)
    parent = os.open(sockdir, os.O_PATH)
    runtime_directory._hand_over(sockdir / "theirs", parent, NOBODY)
    assert (sockdir / "theirs").stat().st_uid == 1
    (sockdir / "link").symlink_to("theirs")
    with pytest.raises(LocalechodError, match=r"^chown failed: .*: .*/link$"):
        runtime_directory._hand_over(sockdir / "link", parent, NOBODY)
    os.close(parent)


def test_a_directory_that_cannot_be_created_is_told_with_the_way_out(sockdir: Path) -> None:
    with pytest.raises(LocalechodError) as caught:
        prepare(sockdir / "none" / "run", None)
    assert caught.value.text == f"mkdir failed: No such file or directory (2): {sockdir}/none/run"
    assert "--runtime-dir" in caught.value.hint
    assert "XDG_RUNTIME_DIR" not in caught.value.hint


def test_a_session_directory_that_is_another_users_is_told_as_that(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{sockdir}/gone")
    with pytest.raises(LocalechodError, match="XDG_RUNTIME_DIR has to be a directory of your own"):
        prepare(runtime.runtime_directory(None, uid=7), None)


@pytest.mark.parametrize("kind", ["file", "link", "socket"])
def test_only_a_real_directory_will_do(sockdir: Path, kind: str) -> None:
    place = sockdir / "run"
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to(sockdir)
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(place))
    with pytest.raises(LocalechodError, match="cannot be used: it is not a directory; remove it"):
        prepare(place, None)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_directory_that_others_may_write_to_is_refused(sockdir: Path, mode: int) -> None:
    sockdir.chmod(mode)
    with pytest.raises(LocalechodError, match=f"others than its owner \\(mode {mode:04o}\\)"):
        prepare(sockdir, None)


def test_the_clients_own_fallback_directory_may_be_trusted(sockdir: Path) -> None:
    check_private(sockdir)


@needs_root
def test_somebody_elses_fallback_directory_may_not(sockdir: Path) -> None:
    os.chown(sockdir, 65534, 65534)
    with pytest.raises(LocalechodError, match="belongs to uid 65534 instead of uid 0;"):
        check_private(sockdir)


def test_a_directory_that_is_gone_is_told(sockdir: Path) -> None:
    with pytest.raises(LocalechodError, match=r"^open failed: No such file or directory \(2\)"):
        check_private(sockdir / "none")
