"""The state is read by the version that wrote it, and by no other."""

import pytest

from localechod.config import EndpointConfig
from localechod.echo.persist import snapshot
from localechod.echo.persist.snapshot import (
    ConnectionSnapshot,
    EndpointSnapshot,
    ServiceSnapshot,
    SnapshotError,
)

WHOLE = ServiceSnapshot(
    started=12.5,
    endpoints=(
        EndpointSnapshot(
            config=EndpointConfig(name="a", type="stream", path="/run/a", framing="record"),
            counters={"messages": 3},
            errors={"connection_reset": 1},
            connections=(
                ConnectionSnapshot(
                    pid=1,
                    uid=2,
                    gid=3,
                    accepted_at=1.5,
                    active_at=2.5,
                    messages=5,
                    received=6,
                    sent=7,
                    pending=b"\0\n\xff",
                    unsent=b"",
                    ending=True,
                ),
            ),
        ),
    ),
)


def test_a_snapshot_is_read_as_it_was_written() -> None:
    assert snapshot.decode(snapshot.encode(WHOLE)) == WHOLE


def test_another_version_is_refused_and_not_misread(monkeypatch: pytest.MonkeyPatch) -> None:
    written, version = snapshot.encode(WHOLE), snapshot.VERSION
    monkeypatch.setattr(snapshot, "VERSION", version + 1)
    text = f"is of version {version}, and this program reads {version + 1}"
    with pytest.raises(SnapshotError, match=text):
        snapshot.decode(written)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        snapshot.encode(WHOLE)[:-1],
        snapshot.encode(WHOLE)[:10],
        snapshot.encode(WHOLE)[:19] + b"\x80",
        snapshot.encode(WHOLE) + b"x",
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        snapshot.decode(data)
