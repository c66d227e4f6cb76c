"""The difference between two configurations: what a reload has to do. No I/O."""

from msgspec import Struct

from localechod.config.schema import Config, EndpointConfig

# Properties of the socket or its file; all other keys apply to a socket that is bound already.
_REBIND = ("type", "path", "bind_as", "user", "group", "mode", "backlog")


class Changes(Struct, frozen=True):
    """Endpoints by what a reload does to them, and the keys that only a restart applies.

    Attributes:
        live: they go on with new settings, on the same socket.
        rebound: their socket is bound again.
        restart_needed: such as "service.user".
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    rebound: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """Endpoints that go on under new settings, whether they are bound again or not."""
        return tuple(sorted(self.live + self.rebound))


def compare(old: Config, new: Config) -> Changes:
    """Return what turns the service of one configuration into that of the other."""
    both = [name for name in old.endpoints if name in new.endpoints]
    differ = [name for name in both if old.endpoints[name] != new.endpoints[name]]
    rebound = [name for name in differ if needs_rebind(old.endpoints[name], new.endpoints[name])]
    return Changes(
        added=tuple(name for name in new.endpoints if name not in old.endpoints),
        removed=tuple(name for name in old.endpoints if name not in new.endpoints),
        live=tuple(name for name in differ if name not in rebound),
        rebound=tuple(rebound),
        restart_needed=_restart_needed(old, new),
    )


def needs_rebind(old: EndpointConfig, new: EndpointConfig) -> bool:
    """Whether the socket or its file has to be made again."""
    return any(getattr(old, key) != getattr(new, key) for key in _REBIND)


def _restart_needed(old: Config, new: Config) -> tuple[str, ...]:
    """Return the changed keys that only a restart applies."""
    sections = (("service", old.service, new.service), ("control", old.control, new.control))
    return tuple(
        f"{section}.{key}"
        for section, before, after in sections
        for key in before.__struct_fields__
        if getattr(before, key) != getattr(after, key)
    )
