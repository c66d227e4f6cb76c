"""What the Tab key offers for an endpoint's name: what the catalogue has, without the daemon."""

import typer

from localechod.ctl.options import Options
from localechod.errors import LocalechodError
from localechod.host import runtime


def endpoint_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the endpoints whose names begin like this; for `autocompletion=` of a parameter.

    A catalogue that is missing or broken offers nothing: the Tab key is no place for errors.
    """
    # Every command takes this module in, and only the Tab key needs a catalogue.
    from localechod.control import catalog  # noqa: PLC0415 - see above

    options = Options(ctx.find_root().params.get("control"))
    try:
        names = catalog.read(options.runtime_directory() / runtime.CATALOG)
    except LocalechodError:
        return []
    taken = ctx.params.get("names") or ()
    return [name for name in names if name.startswith(incomplete) and name not in taken]
