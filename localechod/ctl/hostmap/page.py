"""The map as one HTML page, which needs no network: data, program and library are in it.

The library is cytoscape.js, as released (https://js.cytoscape.org, MIT; the file has its licence).
Its algorithms lay out and draw the graph; a graph library is not ours to write.
"""

import base64
import hashlib
import html
import json
from dataclasses import asdict
from pathlib import Path

from localechod.ctl.hostmap.model import HostMap

LIBRARY = "cytoscape.min.js"
LIBRARY_VERSION = "3.35.0"
LIBRARY_SHA256 = "71fa9ebec21a7ca2c40cff6aacc30d1f6464e363662ad4b2c197e1adc770cd94"
"""Of dist/cytoscape.min.js in the npm package of that version."""

SCRIPTS = ("facts.js", "elements.js", "layout.js", "details.js", "drawing.js", "controls.js")
"""The parts of the program; in this order they are one script of the page."""

_HERE = Path(__file__).parent


def write(found: HostMap) -> str:
    """Return the page.

    A browser runs the two scripts with these checksums and no other, and loads nothing
    (Content-Security-Policy), whatever a name contains.
    """
    library = _part(LIBRARY)
    program = "\n".join(_part(f"scripts/{name}") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_checksum(library)} {_checksum(program)}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "host": html.escape(found.host),
        "style": _part("page.css"),
        "data": as_json(found),
        "library": library,
        "program": program,
    }
    # Not str.format or a chain of replace(): a part may have braces, or what looks like a place.
    before, *rest = _part("page.html").split("{")
    pieces = [before]
    for each in rest:
        name, _, text = each.partition("}")
        pieces += [parts[name], text]
    return "".join(pieces)


def as_json(found: HostMap) -> str:
    """Return the map for a script element: no "<" in it can end that, or begin a comment."""
    return json.dumps(asdict(found)).replace("<", "\\u003c")


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _checksum(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
