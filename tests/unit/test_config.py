"""The configuration: what is read, what is refused and in which words, what is written back."""

from pathlib import Path

import pytest

from localechod import config
from localechod.config.changes import needs_rebind
from localechod.config.schema import ControlConfig
from localechod.errors import ConfigError

RUN = Path("/run/localechod")


def load(tmp_path: Path, text: str) -> config.Config:
    file = tmp_path / "localechod.toml"
    file.write_text(text, encoding="utf-8")
    return config.load(file, RUN)


def refusal(tmp_path: Path, text: str) -> str:
    """Return what is said of a bad file, without the file's name, which is checked here."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.exit_status == 78
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{tmp_path}/localechod.toml: ") for line in lines)
    return "\n".join(line.removeprefix(f"{tmp_path}/localechod.toml: ") for line in lines)


def endpoint(tmp_path: Path, keys: str, kind: str = "stream") -> config.EndpointConfig:
    return load(tmp_path, f'version = 1\n[endpoints.x]\ntype = "{kind}"\n{keys}').endpoints["x"]


def test_the_built_in_default_serves_three_endpoints_in_the_runtime_directory() -> None:
    loaded = config.load(None, RUN)
    assert {name: e.path for name, e in loaded.endpoints.items()} == {
        "stream": "/run/localechod/stream.sock",
        "datagram": "/run/localechod/datagram.sock",
        "seed": "/run/localechod/seed.sock",
    }
    assert loaded.control.path == "/run/localechod/control.sock"
    assert loaded.service == config.ServiceConfig(
        user="localecho", group="localecho", drain_timeout=5.0, crash_keep=256, busy_poll_us=0
    )


def test_the_commented_keys_of_the_shipped_file_are_the_defaults() -> None:
    text = config.default_text().replace("\n# ", "\n").partition("version = 1")[2]
    before, _, rest = text.partition("# `")
    uncommented = "version = 1" + before + rest
    uncommented = uncommented.replace("record_size = 4096 ", "#")  # framing = "record" only
    assert "max_connections_per_user" in uncommented
    file = Path("/dev/shm/localechod-uncommented.toml")  # noqa: S108
    file.write_text(uncommented, encoding="utf-8")
    try:
        shown = config.load(file, RUN).endpoints["stream"]
    finally:
        file.unlink()
    plain = config.load(None, RUN).endpoints["stream"]
    assert (shown.user, shown.group) == ("localecho", "localecho")
    for key in plain.__struct_fields__:
        if key not in {"user", "group"}:
            assert getattr(shown, key) == getattr(plain, key), key


def test_what_is_dumped_validates_again_to_the_same(tmp_path: Path) -> None:
    text = """
version = 1
[service]
user = "nobody"
[defaults]
prefix = "«\\t"
max_message = 100
record_size = 64
[endpoints.a]
type = "stream"
framing = "record"
[endpoints.b]
type = "datagram"
path = "@b"
allow = ["root", "@daemon"]
[endpoints.c]
type = "seqpacket"
path = "/tmp/c.sock"
bind_as = "root"
user = "root"
idle_timeout = 1.5
enabled = false
"""
    first = load(tmp_path, text)
    assert load(tmp_path, config.dump(first)) == first
    assert config.load(None, RUN) == load(tmp_path, config.dump(config.load(None, RUN)))


def test_defaults_reach_every_endpoint_they_apply_to_and_no_other(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        'version = 1\n[defaults]\nframing = "chunk"\nbacklog = 7\nmode = "0600"\n'
        '[endpoints.s]\ntype = "stream"\n[endpoints.d]\ntype = "datagram"\n'
        '[endpoints.a]\ntype = "seqpacket"\npath = "@a"\nbacklog = 9\n',
    )
    assert loaded.endpoints["s"].framing == "chunk"
    assert loaded.endpoints["d"].framing == "line"
    assert loaded.endpoints["s"].bits == 0o600
    assert loaded.endpoints["a"].backlog == 9
    assert "mode" not in config.dump(loaded).partition("[endpoints.a]")[2]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "mode = 440",
            'endpoints.x.mode = 440: must be an octal string with a leading 0, such as "0660"',
        ),
        ('mode = "660"', 'endpoints.x.mode = "660": must be an octal string'),
        ('mode = "0888"', 'endpoints.x.mode = "0888": must be an octal string'),
        (
            'path = "x.sock"',
            'endpoints.x.path = "x.sock": must be an absolute path or "@name" (abstract)',
        ),
        (f'path = "/{"x" * 107}"', "path is 107"),
        (f'path = "@{"x" * 108}"', "name is 108"),
        ('path = "/tmp/"', 'endpoints.x.path = "/tmp/": address /tmp/: the path names a directory'),
        ("path = 5", "endpoints.x.path = 5: must be an absolute path"),
        ('frming = "line"', "endpoints.x.frming: unknown key; did you mean framing?"),
        ("zzz = 1", "endpoints.x.zzz: unknown key"),
        ('framing = "lines"', 'endpoints.x.framing = "lines": must be "line", "record" or "chunk"'),
        ("record_size = 64", 'endpoints.x.record_size = 64: applies with framing = "record" only'),
        (
            "max_message = 0",
            "endpoints.x.max_message = 0: must be a number of bytes from 1 to 16777216",
        ),
        ("max_message = true", "endpoints.x.max_message = true: must be a number of bytes"),
        (
            "max_connections = 0",
            "endpoints.x.max_connections = 0: must be a number from 1 to 1000000",
        ),
        (
            "max_connections_per_user = -1",
            "endpoints.x.max_connections_per_user = -1: must be a number from 0",
        ),
        ("idle_timeout = -0.5", "endpoints.x.idle_timeout = -0.5: must be a number of seconds"),
        ("idle_timeout = nan", "endpoints.x.idle_timeout = nan: must be a number of seconds"),
        ("backlog = 70000", "endpoints.x.backlog = 70000: must be a number from 1 to 65535"),
        (
            'allow = "root"',
            'endpoints.x.allow = "root": must be a list of user names and @group names',
        ),
        ("allow = [5]", "endpoints.x.allow = [5]: must be a list of user names"),
        (
            'user = "root"',
            'endpoints.x.user = "root": other than the service\'s it needs bind_as = "root"',
        ),
        (
            'group = "adm"',
            'endpoints.x.group = "adm": other than the service\'s it needs bind_as = "root"',
        ),
        ('bind_as = "me"', 'endpoints.x.bind_as = "me": must be "service" or "root"'),
        ('prefix = "a\\nb"', 'endpoints.x.prefix = "a\\nb": framing = "line" ends a message there'),
        (f'prefix = "{"é" * 200}"', "must be a string of at most 255 bytes"),
        ('framing = "record"\nprefix = "a\\u0000"', 'framing = "record" ends a message there'),
        (
            'framing = "record"\nrecord_size = 4',
            "endpoints.x.record_size = 4: leaves no space after the prefix",
        ),
        ("enabled = 1", "endpoints.x.enabled = 1: must be true or false"),
        ('log_messages = "yes"', 'endpoints.x.log_messages = "yes": must be true or false'),
        (
            'path = "@x"\nmode = "0600"',
            'endpoints.x.mode = "0600": does not apply to an abstract address',
        ),
    ],
)
def test_a_bad_key_is_named_with_its_value_and_the_reason(
    tmp_path: Path, keys: str, said: str
) -> None:
    text = refusal(tmp_path, f'version = 1\n[endpoints.x]\ntype = "stream"\n{keys}\n')
    assert said in text
    assert "\n" not in text


BOTH_AT_A = """
version = 1
[endpoints.a]
type = "stream"
path = "@a"
[endpoints.b]
type = "datagram"
path = "@a"
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[endpoints.x]\ntype = "stream"', "version: missing; write version = 1"),
        (
            'version = 2\n[endpoints.x]\ntype = "stream"',
            "version = 2: must be 1, the only version there is",
        ),
        ('version = true\n[endpoints.x]\ntype = "stream"', "version = true: must be 1"),
        (
            'version = 1\nservce = 1\n[endpoints.x]\ntype = "stream"',
            "servce: unknown key; did you mean service?",
        ),
        ("version = 1", "endpoints: at least one is needed, such as [endpoints.stream]"),
        ("version = 1\nendpoints = 5", "endpoints = 5: must be a table: [endpoints]"),
        ("version = 1\n[endpoints]\nx = 5", "endpoints.x = 5: must be a table: [endpoints.x]"),
        (
            "version = 1\n[endpoints.x]\n",
            'endpoints.x.type: missing; it must be "stream", "datagram" or "seqpacket"',
        ),
        ('version = 1\n[endpoints.x]\ntype = "tcp"', 'endpoints.x.type = "tcp": must be "stream"'),
        (
            'version = 1\n[endpoints."a b"]\ntype = "stream"',
            "endpoints.a b: a name is up to 64 letters",
        ),
        (
            'version = 1\n[endpoints.x]\ntype = "datagram"\nbacklog = 5',
            "backlog = 5: does not apply to datagram",
        ),
        (
            'version = 1\n[endpoints.x]\ntype = "seqpacket"\nframing = "line"',
            "applies to stream endpoints only",
        ),
        (
            'version = 1\n[defaults]\npath = "/x"\n[endpoints.x]\ntype = "stream"',
            "defaults.path: unknown key",
        ),
        (
            'version = 1\n[defaults]\nmode = 5\n[endpoints.x]\ntype = "stream"',
            "defaults.mode = 5: must be an octal",
        ),
        (
            'version = 1\n[service]\nuser = 5\n[endpoints.x]\ntype = "stream"',
            "service.user = 5: must be the name",
        ),
        (
            'version = 1\n[service]\ndrain_timeout = -1\n[endpoints.x]\ntype = "stream"',
            "service.drain_timeout = -1: must be a number of seconds, 0 or more",
        ),
        (
            'version = 1\n[service]\ncrash_keep = -1\n[endpoints.x]\ntype = "stream"',
            "service.crash_keep = -1: must be a number of connections from 0 (none) to 4096",
        ),
        (
            'version = 1\n[control]\nmode = 5\n[endpoints.x]\ntype = "stream"',
            "control.mode = 5: must be an octal",
        ),
        (
            'version = 1\n[control]\npath = "@c"\n[endpoints.x]\ntype = "stream"',
            'control.path = "@c": must name a file',
        ),
        (
            'version = 1\n[endpoints.control]\ntype = "stream"',
            'endpoints.control.path = "/run/localechod/control.sock": is also the path of control',
        ),
        (
            BOTH_AT_A,
            'endpoints.b.path = "@a": is also the path of endpoints.a',
        ),
        ("version = 1\nx = ", "not valid TOML: "),
    ],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = refusal(
        tmp_path,
        'version = 1\n[endpoints.a]\ntype = "x"\n[endpoints.b]\ntype = "stream"\nmode = 5\n',
    )
    assert len(text.splitlines()) == 2


def test_a_file_that_is_not_there_or_not_text_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"open failed: No such file or directory \(2\): .*absent.toml"
    ):
        config.load(tmp_path / "absent.toml", RUN)
    with pytest.raises(ConfigError, match=r"open failed: Is a directory \(21\)"):
        config.load(tmp_path, RUN)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.toml: not valid TOML: "):
        config.load(tmp_path / "bytes.toml", RUN)


def test_a_relative_control_path_is_taken_from_the_runtime_directory(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, 'version = 1\n[control]\npath = "c.sock"\n[endpoints.x]\ntype = "stream"'
    )
    assert loaded.control.path == "/run/localechod/c.sock"


def test_warnings_name_accounts_that_do_not_exist_and_what_datagrams_cannot_tell(
    tmp_path: Path,
) -> None:
    loaded = load(
        tmp_path,
        'version = 1\n[control]\nadmins = ["root", "@no-such-group"]\n'
        '[endpoints.d]\ntype = "datagram"\nallow = ["no-such-user", "@daemon"]\n',
    )
    first, second, third = config.warnings(loaded)
    assert [first, second] == [
        'control.admins: "@no-such-group": no such account here',
        'endpoints.d.allow: "no-such-user": no such account here',
    ]
    assert third.startswith("endpoints.d.allow: of a datagram's sender the kernel tells the user")


def test_whom_the_shipped_file_names_is_nobodys_slip(tmp_path: Path) -> None:
    assert "@localecho" in ControlConfig().admins
    assert not config.warnings(config.load(None, RUN))
    text = 'version = 1\n[control]\nadmins = ["@localecho"]\n[endpoints.x]\ntype = "stream"'
    same = load(tmp_path, text)
    assert not config.warnings(same)


BASE = 'version = 1\n[endpoints.a]\ntype = "stream"\n[endpoints.b]\ntype = "datagram"\n'


def test_equal_configurations_change_nothing(tmp_path: Path) -> None:
    assert config.compare(load(tmp_path, BASE), load(tmp_path, BASE)) == config.Changes()


def test_changes_are_sorted_by_what_they_ask_for(tmp_path: Path) -> None:
    old = load(tmp_path, BASE)
    new = load(
        tmp_path,
        'version = 1\n[service]\nuser = "nobody"\n[control]\nmode = "0660"\n'
        '[endpoints.a]\ntype = "stream"\nprefix = "> "\n[endpoints.c]\ntype = "stream"\n',
    )
    assert config.compare(old, new) == config.Changes(
        added=("c",), removed=("b",), live=("a",), restart_needed=("service.user", "control.mode")
    )


@pytest.mark.parametrize(
    ("keys", "rebinds"),
    [
        ('mode = "0600"', True),
        ('path = "/tmp/other.sock"', True),
        ("backlog = 5", True),
        ('bind_as = "root"', True),
        ('bind_as = "root"\nuser = "root"', True),
        ('prefix = ""', False),
        ('framing = "chunk"', False),
        ("max_message = 5", False),
        ("max_connections = 5", False),
        ("idle_timeout = 5", False),
        ('allow = ["root"]', False),
        ("log_messages = true", False),
        ("enabled = false", False),
    ],
)
def test_only_what_is_baked_into_the_socket_needs_another_one(
    tmp_path: Path, keys: str, rebinds: bool
) -> None:
    assert needs_rebind(endpoint(tmp_path, ""), endpoint(tmp_path, keys)) is rebinds
