"""endpoints.json: written completely or not at all, read as untrusted input."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.control.catalog import LIMIT_BYTES, CatalogEntry, read, write
from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError

ENTRIES = [
    CatalogEntry("stream", "stream", "/run/localechod/stream.sock", "line", 4096),
    CatalogEntry("abstract", "datagram", "@name", "", 4096),
]


def test_entries_are_read_back_by_name(sockdir: Path) -> None:
    path = sockdir / "endpoints.json"
    write(path, ENTRIES)
    assert read(path) == {entry.name: entry for entry in ENTRIES}
    assert list(json.loads(path.read_text())) == ["endpoints"]


def test_everyone_may_read_it_whatever_the_umask(sockdir: Path) -> None:
    path = sockdir / "endpoints.json"
    before = os.umask(0o077)
    try:
        write(path, ENTRIES)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_new_catalog_replaces_the_old_and_leaves_no_other_file(sockdir: Path) -> None:
    path = sockdir / "endpoints.json"
    write(path, ENTRIES)
    with path.open() as reader:
        write(path, ENTRIES[:1])
        assert len(json.load(reader)["endpoints"]) == 2, "a reader keeps what it has opened"
    assert list(read(path)) == ["stream"]
    assert list(sockdir.iterdir()) == [path]


def test_names_of_any_bytes_survive_and_the_file_stays_ascii(sockdir: Path) -> None:
    path = sockdir / "endpoints.json"
    entry = CatalogEntry("odd", "stream", '/run/\udcff\n\x1b"é', "line", 2)
    write(path, [entry])
    assert read(path)["odd"] == entry
    assert path.read_bytes().isascii()


def test_a_missing_directory_is_one_clear_error(sockdir: Path) -> None:
    with pytest.raises(SocketError, match=r"write failed: No such file or directory \(2\): /"):
        write(sockdir / "missing" / "endpoints.json", ENTRIES)


def test_a_name_that_cannot_be_replaced_leaves_no_temporary_file(sockdir: Path) -> None:
    path = sockdir / "endpoints.json"
    path.mkdir()
    with pytest.raises(SocketError, match=r"write failed: Is a directory \(21\)"):
        write(path, ENTRIES)
    assert list(sockdir.iterdir()) == [path]


def test_no_catalog_means_no_daemon(sockdir: Path) -> None:
    with pytest.raises(DaemonNotRunningError, match="localechod is not running: there is no /tmp"):
        read(sockdir / "endpoints.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"endpoints": {}}',
        '{"endpoints": [3]}',
        '{"endpoints": [{"name": "x"}]}',
        "[" * 100_000,
        '{"endpoints": ["' + "x" * LIMIT_BYTES + '"]}',
        "\x1b[2J",
        b"\xff\xfe".decode("latin-1"),
    ],
    ids=lambda text: text[:20],
)
def test_a_broken_catalog_is_one_printable_line(sockdir: Path, text: str) -> None:
    path = sockdir / "endpoints.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(LocalechodError, match="read failed: ") as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert caught.value.exit_status == 1


@pytest.mark.parametrize("field", ["name", "type", "path", "framing", "record_size"])
@pytest.mark.parametrize("value", [None, True, [], 1.5])
def test_a_field_of_the_wrong_type_is_refused_by_name(
    sockdir: Path, field: str, value: object
) -> None:
    path = sockdir / "endpoints.json"
    row = {"name": "x", "type": "stream", "path": "/x", "framing": "", "record_size": 1}
    path.write_text(json.dumps({"endpoints": [row | {field: value}]}))
    with pytest.raises(LocalechodError, match=f"an endpoint's {field} is not of type"):
        read(path)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("record_size", 2**62, "an endpoint's record_size is"),
        ("path", "/" + "x" * 200, "address .*: 201 bytes"),
        ("path", "/\ud800", "not a name in this locale's encoding"),
    ],
)
def test_a_value_out_of_range_is_refused(
    sockdir: Path, field: str, value: object, reason: str
) -> None:
    path = sockdir / "endpoints.json"
    row = {"name": "x", "type": "stream", "path": "/x", "framing": "", "record_size": 2}
    path.write_text(json.dumps({"endpoints": [row | {field: value}]}))
    with pytest.raises(LocalechodError, match=reason):
        read(path)


def test_a_file_that_is_too_long_is_not_read(sockdir: Path) -> None:
    path = sockdir / "endpoints.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LocalechodError, match="no regular file of at most"):
        read(path)


def test_unknown_fields_are_ignored(sockdir: Path) -> None:
    path = sockdir / "endpoints.json"
    write(path, ENTRIES)
    document = json.loads(path.read_text())
    document["endpoints"][0]["new"] = {"deep": []}
    path.write_text(json.dumps(document))
    assert read(path)["stream"] == ENTRIES[0]


@pytest.mark.parametrize(
    "kind", ["link", "link to itself", "directory", "fifo", "fifo with a writer"]
)
def test_another_file_at_its_path_is_neither_followed_nor_waited_for(
    sockdir: Path, kind: str
) -> None:
    path = sockdir / "endpoints.json"
    if kind == "link":
        write(sockdir / "elsewhere.json", ENTRIES)
        path.symlink_to("elsewhere.json")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    with ExitStack() as stack:
        if kind == "fifo with a writer":
            stack.callback(os.close, os.open(path, os.O_RDWR))
        with pytest.raises(LocalechodError, match="read failed: "):
            read(path)
