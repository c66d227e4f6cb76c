"""Shell completion of endpoint names, from the catalog, without the daemon."""

import typer

from localechod.ctl.options import Options
from localechod.errors import LocalechodError
from localechod.host import runtime


def endpoint_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names that begin with `incomplete`; for `autocompletion=` of a parameter.

    Without a readable catalog there are none; completion reports no errors.
    """
    # Every command imports this module, but only completion needs the catalog.
    from localechod.control import catalog  # noqa: PLC0415 - see above

    options = Options(ctx.find_root().params.get("control"))
    try:
        names = catalog.read(options.runtime_directory() / runtime.CATALOG)
    except LocalechodError:
        return []
    taken = ctx.params.get("names") or ()
    # The shell shows them on a terminal, so names with control characters are left out.
    known = filter(str.isprintable, names)
    return [name for name in known if name.startswith(incomplete) and name not in taken]
