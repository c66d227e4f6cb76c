"""Which directories no other user can exchange, and where root therefore binds."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from localechod.errors import LocalechodError
from localechod.localsocket.trusted import open_trusted
from tests.integration.harness import descriptors, needs_root

GAMES, SERVICE = 5, 65534

pytestmark = needs_root


def reached(path: Path, *owners: int, sticky: bool = True) -> tuple[int, int]:
    """Open it; return its identity."""
    descriptor = open_trusted(path, "a test", owners=owners, sticky=sticky)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return status.st_dev, status.st_ino


def identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def refusal(path: Path, *owners: int) -> str:
    with pytest.raises(LocalechodError) as caught:
        reached(path, *owners)
    return str(caught.value)


@pytest.fixture
def inner(sockdir: Path) -> Path:
    """A directory of root's in another; /tmp, above both, is sticky."""
    (sockdir / "a" / "b").mkdir(parents=True)
    return sockdir / "a" / "b"


def give(path: Path, uid: int, mode: int = 0o755) -> None:
    os.chown(path, uid, uid)
    path.chmod(mode)


def acl(path: Path) -> None:
    subprocess.run(["setfacl", "-m", f"u:{GAMES}:rwx", path], check=True)


def test_roots_directories_are_trusted_also_in_a_sticky_one(inner: Path) -> None:
    assert reached(inner) == identity(inner)
    assert reached(Path("/")) == identity(Path("/"))
    assert reached(Path("/tmp")) == identity(Path("/tmp"))  # noqa: S108
    with pytest.raises(LocalechodError, match=r"^/tmp is not safe for a test: .*mode 1777"):
        reached(inner, sticky=False)


SPOILT: dict[str, Callable[[Path], object]] = {
    "another user's": lambda path: give(path, GAMES),
    "another user's, though closed": lambda path: give(path, GAMES, 0o500),
    "for everyone": lambda path: path.chmod(0o757),
    "for a group": lambda path: path.chmod(0o775),
    "sticky, but another user's": lambda path: give(path, GAMES, 0o1777),
    "for a user by an ACL": acl,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("place", ["a", "a/b"])
def test_a_directory_that_another_user_can_change_is_refused_wherever_it_is(
    inner: Path, place: str, spoil: Callable[[Path], object]
) -> None:
    spoilt = inner.parents[1] / place
    spoil(spoilt)
    assert refusal(inner).startswith(f"{spoilt} is not safe for a test: others than root may write")
    (inner.parents[1] / "link").symlink_to("a")
    assert refusal(inner.parents[1] / "link" / "b").startswith(f"{spoilt} is not safe")


def test_the_services_account_may_have_the_last_directory_and_no_other(inner: Path) -> None:
    give(inner, SERVICE)
    assert reached(inner, SERVICE) == identity(inner)
    (inner / "c").mkdir()
    assert refusal(inner / "c", SERVICE).startswith(f"{inner} is not safe")
    # It would belong to the account in a sticky directory, so the account could rename it.
    inner.parent.chmod(0o1777)
    assert refusal(inner, SERVICE).startswith(f"{inner} is not safe")


def test_a_link_of_another_user_in_a_sticky_directory_is_refused(inner: Path) -> None:
    inner.chmod(0o1777)
    link = inner / "link"
    link.symlink_to("/run")
    assert reached(link) == identity(Path("/run"))
    os.chown(link, GAMES, GAMES, follow_symlinks=False)
    assert refusal(link).startswith(f"{link} is not safe for a test")


def test_links_lead_where_the_kernel_goes(inner: Path) -> None:
    (inner / "up").symlink_to("..")
    (inner / "whole").symlink_to(f"{inner}/up/../a/./b")
    (inner / "hop").symlink_to("whole")
    for path in (inner / "up", inner / "whole", inner / "hop" / "up" / "b", Path("/../tmp/..")):
        assert reached(path) == identity(path)


def test_missing_directories_and_links_in_a_circle_are_errors_of_the_system(inner: Path) -> None:
    (inner / "circle").symlink_to("circle")
    (inner / "file").touch()
    for name, number in (("circle", 40), ("none/x", 2), ("file", 20), ("file/x", 20)):
        with pytest.raises(OSError, match=rf"\[Errno {number}\]"):
            reached(inner / name)


def test_no_descriptor_is_left_after_any_of_them(inner: Path) -> None:
    (inner / "circle").symlink_to("circle")
    before = descriptors(os.getpid())
    reached(inner)
    with pytest.raises(OSError, match="circle"):
        reached(inner / "circle")
    give(inner, GAMES)
    refusal(inner / "circle")
    assert descriptors(os.getpid()) == before
