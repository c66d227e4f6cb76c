"""How many descriptors a configuration takes, compared with what a limit leaves."""

from pathlib import Path

import pytest

from localechod import config
from localechod.echo.descriptors import Plan, ceiling, taken_by
from localechod.errors import ConfigError

TEXT = """
version = 1
[endpoints.path]
type = "stream"
[endpoints.off]
type = "seqpacket"
enabled = false
[endpoints.abstract]
type = "datagram"
path = "@x"
"""


def plan(limit: int, activated: tuple[str, ...] = (), others: int = 0) -> Plan:
    return Plan(config.parse(TEXT, Path("/run/x"), "text"), limit, activated, others)


def test_a_path_takes_three_a_name_one_and_some_one_more() -> None:
    found = config.parse(TEXT, Path("/run/x"), "text").endpoints
    assert taken_by(found.values()) == 8
    assert taken_by(found.values(), ("path", "abstract")) == 10


@pytest.mark.parametrize(("limit", "expected"), [(64, 48), (512, 384), (1024, 896), (65536, 65408)])
def test_a_quarter_of_a_small_limit_is_reserved(limit: int, expected: int) -> None:
    assert ceiling(limit) == expected


def test_at_least_one_client_must_fit() -> None:
    # 25 of 33 are not reserved: 16 of the service itself, 8 of the endpoints, one client.
    plan(33).require()
    with pytest.raises(ConfigError, match="limit is 32; 3 endpoints take 8, the service 16, 8 are"):
        plan(32).require()
    with pytest.raises(ConfigError, match=", 1 of connections and moves"):
        plan(33, others=1).require()


def test_few_clients_are_a_warning_and_many_are_none() -> None:
    assert plan(1024).warning() == ""
    assert plan(40).warning().startswith("descriptors for 6 clients only: the limit is 40; ")
    assert plan(8).warning().startswith("descriptors for 0 clients only: ")
