"""For random modes, owners, groups and ACLs, the decision equals the kernel's."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.harness import needs_root
from tests.integration.stage import (
    DAC_OVERRIDE,
    DAC_READ_SEARCH,
    GAMES,
    GROUP,
    GROUP_OBJ,
    MASK,
    NOBODY,
    OTHER,
    STAFF,
    USER,
    USER_OBJ,
    Asked,
    Stage,
    become,
    set_acl,
)

pytestmark = needs_root

Acl = list[tuple[int, int, int]]

IDS = st.sampled_from([0, GAMES, STAFF, NOBODY])
BITS = st.integers(0, 7)


@dataclass(frozen=True)
class Rights:
    """The permissions of a file."""

    mode: int
    uid: int
    gid: int
    acl: Acl | None

    def apply(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid)
        path.chmod(self.mode)
        if self.acl is not None:
            set_acl(path, *self.acl)
        elif "system.posix_acl_access" in os.listxattr(path):
            os.removexattr(path, "system.posix_acl_access")


@st.composite
def acls(draw: st.DrawFn) -> Acl:
    named = {
        tag: [(tag, draw(BITS), id_) for id_ in sorted(draw(st.sets(IDS, max_size=3)))]
        for tag in (USER, GROUP)
    }
    owner, group, mask, other = (
        (tag, draw(BITS), -1) for tag in (USER_OBJ, GROUP_OBJ, MASK, OTHER)
    )
    return [owner, *named[USER], group, *named[GROUP], mask, other]


RIGHTS = st.builds(Rights, st.integers(0, 0o777), IDS, IDS, st.none() | acls())


@dataclass(frozen=True)
class Scene:
    """One socket in one directory, and clients with different credentials."""

    directory: Path
    server: socket.socket
    clients: list[Asked]

    def connects(self) -> list[int]:
        answers = [client.kernel() for client in self.clients]
        for _ in filter(lambda number: not number, answers):
            self.server.accept()[0].close()
        return answers


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        stage = Stage(stack)
        server = stage.listener(stage.folder("d") / "s")
        kinds = [
            lambda: None,
            lambda: become(0),
            lambda: become(NOBODY),
            lambda: become(GAMES, [STAFF]),
            lambda: become(GAMES, [0, NOBODY], gid=STAFF),
            lambda: become(NOBODY, keep=DAC_READ_SEARCH),
            lambda: become(NOBODY, keep=DAC_OVERRIDE),
        ]
        yield Scene(stage.directory, server, [stage.ask("d/s", enter=enter) for enter in kinds])


@settings(max_examples=60)
@given(directory=RIGHTS, file=RIGHTS)
def test_every_decision_equals_the_kernels(scene: Scene, directory: Rights, file: Rights) -> None:
    directory.apply(scene.directory / "d")
    file.apply(scene.directory / "d/s")
    said = [client.explain().verdict.number for client in scene.clients]
    assert said == scene.connects()
