"""The generated code is that of control.proto, and every protobuf we allow can run it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIRE = ROOT / "localechod" / "control" / "wire"


def generate(root: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("grpc_tools", reason="grpcio-tools (extra: dev) compiles control.proto")
    return subprocess.run(
        [sys.executable, str(root / "tools" / "generate_wire.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_committed_code_is_current() -> None:
    done = generate(ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def copied(directory: Path) -> Path:
    """Copy the script's input to a directory where a test may change it."""
    for name in ("tools/generate_wire.py", *(f"localechod/control/wire/{p.name}" for p in FILES)):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return directory


FILES = [path for path in WIRE.iterdir() if path.is_file()]


def test_a_changed_proto_is_noticed_with_a_diff(tmp_path: Path) -> None:
    root = copied(tmp_path)
    proto = root / "localechod/control/wire/control.proto"
    proto.write_text(proto.read_text().replace("string version = 1;", "string release = 1;"))
    done = generate(root)
    assert done.returncode == 1
    assert "+    release: str" in done.stdout
    assert done.stderr.endswith("run tools/generate_wire.py\n")


def test_an_invalid_proto_is_the_compilers_error(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / "localechod/control/wire/control.proto").write_text('syntax = "proto3"; message {')
    done = generate(root)
    assert done.returncode == 1
    assert "control.proto:1:" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_oldest_protobuf_we_allow_is_not_older_than_the_code() -> None:
    """Protobuf refuses to load generated code that is newer than itself."""
    text = (WIRE / "control_pb2.py").read_text()
    made = re.search(r"Protobuf Python Version: (\d+)\.(\d+)\.(\d+)", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = [d for d in project["dependencies"] if d.startswith("protobuf")]
    oldest = re.search(r">=(\d+)\.(\d+)(?:\.(\d+))?", bound)
    assert made
    assert oldest
    numbers = [tuple(int(part or 0) for part in match.groups()) for match in (made, oldest)]
    assert numbers[0] <= numbers[1], f"{bound} allows a runtime older than {made[0]}"
