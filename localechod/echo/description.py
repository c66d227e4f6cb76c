"""An endpoint's status, as the control plane passes it on."""

import time
from typing import TYPE_CHECKING

from localechod.accounts import group_name, user_name
from localechod.echo.activated import HINT
from localechod.echo.lifecycle import State
from localechod.echo.status import EndpointStatus
from localechod.localsocket.filecheck import File

if TYPE_CHECKING:
    from localechod.echo.endpoint import Endpoint


def describe(endpoint: "Endpoint", connections: int) -> EndpointStatus:
    """Return the status of an endpoint with so many open connections."""
    config, counters = endpoint.config, endpoint.counters
    mode, owner, group = _file(endpoint)
    return EndpointStatus(
        name=config.name,
        type=config.type,
        state=str(endpoint.state),
        path=str(config.address),
        mode=mode,
        owner=owner,
        group=group,
        framing=config.framing if config.type == "stream" else "",
        connections=connections,
        accepted_total=counters.accepted,
        messages_total=counters.messages,
        received_bytes_total=counters.received_bytes,
        sent_bytes_total=counters.sent_bytes,
        errors=dict(counters.errors),
        error=None if endpoint.error is None else endpoint.error.text,
        hint=_hint(endpoint),
        restarts_total=counters.restarts,
        faults=config.faults.set_keys(),
        faults_total=dict(counters.faults),
    )


def _file(endpoint: "Endpoint") -> tuple[str, str, str]:
    """Return the socket file's mode, owner and group.

    Of an activated socket they are read from the file, else they are those of the configuration.
    """
    config, bound = endpoint.config, endpoint.bound
    if config.address.is_abstract:
        return "", "", ""
    if bound is not None and bound.activated and bound.file is not None:
        found = File.of(bound.file.status)
        return f"{found.mode:04o}", user_name(found.uid), group_name(found.gid)
    owner = config.user or user_name(endpoint.owner.uid)
    return config.mode, owner, config.group or group_name(endpoint.owner.gid)


def _hint(endpoint: "Endpoint") -> str | None:
    hints = [] if endpoint.error is None else [endpoint.error.hint]
    if endpoint.next_attempt is not None:
        left = max(0.0, endpoint.next_attempt - time.monotonic())
        hints.append(f"next attempt in {left:.0f} s")
    if endpoint.activated is not None and endpoint.state is State.STOPPED:
        hints.append(HINT)
    return "; ".join(filter(None, hints)) or None
