#!/usr/bin/env python3
"""Generate the Python code of the control socket's messages from control.proto, or check it.

    tools/generate_wire.py           write control_pb2.py, control_pb2.pyi and control_grpc.py
    tools/generate_wire.py --check   write nothing; exit 1 with a diff where they are not current

The generated files are committed, so that an installation needs no protobuf compiler. This script
needs grpcio-tools and grpclib (the extra `dev`).
"""

import argparse
import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = Path("localechod/control/wire/control.proto")
GENERATED = [
    PROTO.with_name("control_pb2.py"),
    PROTO.with_name("control_pb2.pyi"),
    PROTO.with_name("control_grpc.py"),
]


def generate(directory: Path) -> None:
    """Run protoc with grpclib's plugin from this interpreter's environment.

    Raises:
        subprocess.CalledProcessError: protoc failed; it has printed the reason on stderr.
    """
    plugin = Path(sys.executable).with_name("protoc-gen-grpclib_python")
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            f"--proto_path={ROOT}",
            f"--plugin=protoc-gen-grpclib_python={plugin}",
            f"--python_out={directory}",
            f"--pyi_out={directory}",
            f"--grpclib_python_out={directory}",
            str(PROTO),
        ],
        cwd=ROOT,
        check=True,
    )


def differences(directory: Path) -> list[str]:
    """Return the lines of a diff between the committed code and the code in `directory`."""
    lines: list[str] = []
    for name in GENERATED:
        committed = ROOT / name
        old = committed.read_text().splitlines(keepends=True) if committed.exists() else []
        new = (directory / name).read_text().splitlines(keepends=True)
        lines += difflib.unified_diff(old, new, f"committed/{name}", f"generated/{name}")
    return lines


def main() -> int:
    """Return 0, or 1 where --check found a difference or protoc failed."""
    parser = argparse.ArgumentParser(description="Generate the control socket's Python code.")
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    options = parser.parse_args()
    try:
        if not options.check:
            generate(ROOT)
            return 0
        with tempfile.TemporaryDirectory() as directory:
            generate(Path(directory))
            lines = differences(Path(directory))
    except subprocess.CalledProcessError:
        return 1
    sys.stdout.writelines(lines)
    if lines:
        sys.stderr.write("generated code is not current: run tools/generate_wire.py\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
