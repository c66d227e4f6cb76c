"""Which endpoints this process can bind: some need root, which the service may have dropped."""

import os
from collections.abc import Iterable, Mapping

from localechod.config import EndpointConfig
from localechod.echo.binding import NEVER_ROOT, NEVER_ROOT_HINT
from localechod.echo.endpoint import Endpoint
from localechod.errors import LocalechodError


class NeedsRestartError(LocalechodError):
    """This change needs root or a socket unit; the running service cannot make it."""


class BindPermission:
    """Decides whether an endpoint can be bound by this process.

    Args:
        endpoints: the service's, by name; an activated socket needs no permission.
        dropped: whether the process has dropped root, so that it cannot bind as root again.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], *, dropped: bool) -> None:
        self._endpoints = endpoints
        self._dropped = dropped

    def allows(self, config: EndpointConfig) -> bool:
        """Whether an endpoint with these settings can be bound now."""
        endpoint = self._endpoints.get(config.name)
        if config.bind_as != "root" or (endpoint is not None and endpoint.activated is not None):
            return True
        return not self._dropped and os.geteuid() == 0

    def require(self, configs: Iterable[EndpointConfig]) -> None:
        """Return if all of these can be bound.

        Raises:
            NeedsRestartError: one of them needs root.
        """
        names = sorted({config.name for config in configs if not self.allows(config)})
        if names and not self._dropped:
            raise NeedsRestartError(f"{', '.join(names)}: {NEVER_ROOT}", NEVER_ROOT_HINT)
        if names:
            raise NeedsRestartError(
                f'bind_as = "root" of {", ".join(names)}: only root can bind it again, and the '
                "service has dropped root; nothing was changed",
                "systemctl restart localechod",
            )
