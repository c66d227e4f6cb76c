#!/usr/bin/env python3
"""Draw pictures in docs/pictures: the output of localechoctl in a terminal of 80 columns.

    systemctl start localechod; tools/draw_pictures.py [DIRECTORY]

It runs the commands as root, with the localechoctl on PATH and the service running. A picture is
text in the viewer's monospaced font: each word is placed at its column, and colors follow the
viewer's light or dark mode.
"""

import fcntl
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = Path("/run/localechod")
COLUMNS = 80
CELL, LINE, MARGIN, BAR = 8.4, 20, 16, 28  # pixels: of a letter, a line, the margin, the title bar

# CSS classes, most of them SGR codes, with their color in light and in dark mode.
COLORS = {
    "t": ("#1f2328", "#e6edf3"),
    "1": ("#1f2328", "#ffffff"),
    "2": ("#57606a", "#8b949e"),
    "31": ("#cf222e", "#ff7b72"),
    "32": ("#1a7f37", "#56d364"),
    "33": ("#9a6700", "#e3b341"),
    "34": ("#0969da", "#79c0ff"),
    "36": ("#1b7c83", "#76e3ea"),
    "prompt": ("#57606a", "#8b949e"),
    "dots": ("#d0d7de", "#30363d"),
    "frame": ("#f6f8fa", "#161b22"),
}
SCENES = {
    "service": ["localechoctl status", "localechoctl peers"],
    "send": [
        "localechoctl send stream hello 'how are you?'",
        "seq 3 | localechoctl send /run/localechod/datagram.sock",
        "localechoctl send --type datagram /run/localechod/stream.sock hello",
    ],
    "explain": ["localechoctl explain /tmp/app/api.sock --as www-data"],
}
_CODE = re.compile(r"\x1b\[([\d;]*)m")


# ---- running the commands ------------------------------------------------------------------------


def printed(command: str) -> str:
    """Run a command in a terminal of 80 columns and return its output with the SGR codes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    with subprocess.Popen(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"},
    ):
        os.close(theirs)
        output = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return output.decode().replace("\r\n", "\n").rstrip("\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: the last program on the terminal has ended
        return b""


@contextmanager
def sample_clients() -> Iterator[None]:
    """Connect two clients that have sent messages, and bind a socket of restricted use."""
    directory = Path("/tmp/app")  # noqa: S108 - shown in the picture; it must not exist yet
    with ExitStack() as stack:
        for user, lines in (("root", "1\n2\n3\n"), ("nobody", "hello\n")):
            client = stack.enter_context(
                subprocess.Popen(
                    ["socat", "-", f"UNIX-CONNECT:{RUNTIME}/stream.sock"],
                    user=user,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(client.kill)
            if client.stdin and client.stdout:
                client.stdin.write(lines)
                client.stdin.flush()
                for _ in lines.splitlines():
                    client.stdout.readline()
        directory.mkdir()
        stack.callback(shutil.rmtree, directory)
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(directory / "api.sock"))
        (directory / "api.sock").chmod(0o660)
        server.listen()
        yield


# ---- drawing -------------------------------------------------------------------------------------


def drawing(commands: list[str]) -> str:
    """Return the picture of commands and their output."""
    rows: list[list[tuple[str, str]]] = []
    for command in commands:
        rows += [[]] * bool(rows)
        rows.append([("prompt", "$ "), ("1", command)])
        rows += colored(wrapped(printed(command)))
    width = round(COLUMNS * CELL + 2 * MARGIN)
    height = len(rows) * LINE + MARGIN + BAR
    text = "\n".join(
        line for number, row in enumerate(rows) for line in cells(row, BAR + (number + 0.8) * LINE)
    )
    style = [f".{_name(key)}{{fill:{light}}}" for key, (light, _) in COLORS.items()]
    dark = [f".{_name(key)}{{fill:{dark}}}" for key, (_, dark) in COLORS.items()]
    bold = f".{_name('1')}{{font-weight:bold}}"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}" role="img">
<title>{escape("; ".join(commands))}</title>
<style>
text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;\
white-space:pre}}
{"".join(style)}{bold}
@media (prefers-color-scheme:dark){{{"".join(dark)}}}
</style>
<rect class="{_name("frame")}" width="{width}" height="{height}" rx="8"/>
<g class="{_name("dots")}"><circle cx="18" cy="15" r="5"/><circle cx="36" cy="15" r="5"/>\
<circle cx="54" cy="15" r="5"/></g>
{text}
</svg>
"""


def wrapped(text: str) -> str:
    """Break lines as a terminal of 80 columns does."""
    lines = []
    for line in text.split("\n"):
        rest, plain = line, _CODE.sub("", line)
        while len(plain) > COLUMNS and rest == plain:  # colored lines are short
            lines.append(rest[:COLUMNS])
            rest = plain = rest[COLUMNS:]
        lines.append(rest)
    return "\n".join(lines)


def colored(text: str) -> Iterator[list[tuple[str, str]]]:
    """Yield each line in pieces of one color."""
    code = "t"
    for line in text.split("\n"):
        pieces: list[tuple[str, str]] = []
        for index, part in enumerate(_CODE.split(line)):
            if index % 2:
                code = part if part in COLORS else "t"
            elif part:
                pieces.append((code, part))
        yield pieces


def cells(row: list[tuple[str, str]], y: float) -> Iterator[str]:
    """Yield the words of a line, each placed at its column, with the width of its letters."""
    column = 0
    for code, piece in row:
        for word in re.finditer(r"\S+(?: \S+)*", piece):
            x = MARGIN + (column + word.start()) * CELL
            length = len(word[0]) * CELL
            yield (
                f'<text class="{_name(code)}" x="{x:.1f}" y="{y:.1f}" textLength="{length:.1f}"'
                f">{escape(word[0])}</text>"
            )
        column += len(piece)


def _name(code: str) -> str:
    return code if code.isalpha() else f"c{code}"  # a class name begins with a letter


def main() -> None:
    """Draw every scene, or exit with the reason."""
    directory = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs/pictures"
    if os.geteuid() != 0 or not RUNTIME.exists():
        sys.exit("run this as root, with the service running: systemctl start localechod")
    with sample_clients():
        for name, commands in SCENES.items():
            (directory / f"{name}.svg").write_text(drawing(commands))


if __name__ == "__main__":
    main()
