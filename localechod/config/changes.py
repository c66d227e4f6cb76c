"""What a reload has to do: the difference between two configurations, decided without doing it."""

from dataclasses import dataclass

from localechod.config.schema import Config, EndpointConfig

# These are baked into the socket or its file; everything else is read anew for each message.
_REBIND = ("type", "path", "bind_as", "user", "group", "mode", "backlog")


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of endpoints by what happens to them, and the keys that need a restart."""

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
    """Say what turns the service of one configuration into that of the other."""
    both = [name for name in old.endpoints if name in new.endpoints]
    differ = [name for name in both if old.endpoints[name] != new.endpoints[name]]
    rebound = [name for name in differ if needs_rebind(old.endpoints[name], new.endpoints[name])]
    return Changes(
        added=tuple(name for name in new.endpoints if name not in old.endpoints),
        removed=tuple(name for name in old.endpoints if name not in new.endpoints),
        live=tuple(name for name in differ if name not in rebound),
        rebound=tuple(rebound),
        restart_needed=restart_needed(old, new),
    )


def needs_rebind(old: EndpointConfig, new: EndpointConfig) -> bool:
    """Whether the socket or its file has to be made again."""
    return any(getattr(old, key) != getattr(new, key) for key in _REBIND)


def restart_needed(old: Config, new: Config) -> tuple[str, ...]:
    """Return the changed keys that only a restart applies."""
    sections = (("service", old.service, new.service), ("control", old.control, new.control))
    return tuple(
        f"{section}.{key}"
        for section, before, after in sections
        for key in before.__struct_fields__
        if getattr(before, key) != getattr(after, key)
    )
