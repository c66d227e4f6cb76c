"""`./dev release` in a clone: what it refuses, and that a dry run leaves nothing but dist/."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import localechod
from tests.system.machine import CHECKOUT

DRY = ("--dry-run", "--without-tests", "--without-debian")
VERSION = localechod.__version__


def git(clone: Path, *arguments: str) -> str:
    command = ["git", "-C", str(clone), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this checkout's last commit, with an environment of its own, as git has it."""
    clone = tmp_path_factory.mktemp("release") / "clone"
    git(CHECKOUT, "clone", "-q", str(CHECKOUT), str(clone))
    git(clone, "config", "user.name", "A Maintainer")
    git(clone, "config", "user.email", "maintainer@localhost")
    # One that is to be released, whatever this checkout is just now.
    (clone / "changes/release.added.md").write_text("A test of the release.\n")
    (clone / "localechod/__init__.py").write_text(
        f'"""A version of its own."""\n\n__version__ = "{VERSION}.post1"\n'
    )
    git(clone, "add", "--all")
    git(clone, "commit", "-qm", "To be released")
    return clone


def release(clone: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(clone / "dev"), "release", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def edited_meanwhile(clone: Path) -> Iterator[None]:
    """Have a file that fails the checks, and that git does not look at, in place of an edit."""
    name = "tools/draw_pictures.py"
    git(clone, "update-index", "--assume-unchanged", name)
    (clone / name).write_text("unfinished = (\n")
    yield
    git(clone, "update-index", "--no-assume-unchanged", name)
    git(clone, "checkout", "-q", name)


def test_a_dry_run_builds_and_shows_everything_and_changes_nothing(clone: Path) -> None:
    before = git(clone, "rev-parse", "HEAD"), git(clone, "tag")
    with edited_meanwhile(clone):
        done = release(clone, *DRY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"## {VERSION}.post1 - " in done.stdout
    assert "- A test of the release.\n" in done.stdout
    for name in (
        r"-cp311-abi3-manylinux[\w.]+\.whl",
        r"-py3-none-any\.whl",
        r"\.tar\.gz",
        r"\.cdx\.json",
        r"_\w+\.deb",
    ):
        version = re.escape(f"{VERSION}.post1")
        assert re.search(rf"  localechod[-_]{version}{name}\n", done.stdout), name
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=clone / "dist", check=True
    )
    for step in ("mypy", "towncrier", "shellcheck"):
        assert step in done.stderr
    assert "not tried: tests debian" in done.stderr
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "tag")) == before
    assert git(clone, "status", "--porcelain") == ""
    assert len(git(clone, "worktree", "list").splitlines()) == 1


def dirty(clone: Path) -> None:
    (clone / "README.md").write_text("")


def tagged(clone: Path) -> None:
    git(clone, "tag", f"v{VERSION}.post1")


def unchanged(clone: Path) -> None:
    git(clone, "rm", "-q", "changes/*.added.md", "changes/*.fixed.md", "--ignore-unmatch")
    git(clone, "commit", "-qm", "Nothing new")


@pytest.mark.parametrize(
    ("spoil", "options", "said"),
    [
        (dirty, DRY, " M README.md"),
        (tagged, DRY, f"v{VERSION}.post1 exists already"),
        (unchanged, DRY, "nothing to release"),
        (None, DRY[1:], "only with --dry-run: --without-tests --without-debian"),
        (None, ("--push",), "--push is none of"),
    ],
)
def test_what_cannot_be_released_is_refused_at_once(
    clone: Path, spoil: Callable[[Path], None] | None, options: tuple[str, ...], said: str
) -> None:
    good = git(clone, "rev-parse", "HEAD")
    if spoil is not None:
        spoil(clone)
    try:
        done = release(clone, *options)
    finally:
        git(clone, "reset", "-q", "--hard", good)
        git(clone, "tag", "-d", *git(clone, "tag", "--list", f"v{VERSION}.post1").split())
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "the artifacts" not in done.stderr
