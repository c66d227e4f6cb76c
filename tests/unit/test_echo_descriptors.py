"""How many descriptors a configuration takes: what is refused, and what is worth a warning."""

from pathlib import Path

import pytest

from localechod import config
from localechod.config import Config
from localechod.echo.descriptors import Plan, ceiling
from localechod.errors import ConfigError


def endpoints(count: int, kind: str = "stream", path: str = "/run/x") -> Config:
    text = "".join(
        f'[endpoints.e{number}]\ntype = "{kind}"\npath = "{path}{number}"\n'
        for number in range(count)
    )
    return config.parse(f"version = 1\n{text}", Path("/run"), "test")


def test_a_file_takes_three_an_abstract_name_one_and_an_activated_socket_one_more() -> None:
    whole = Plan(endpoints(10, path="@"), 1000).clients
    assert whole - Plan(endpoints(10), 1000).clients == 20
    assert whole - Plan(endpoints(10, path="@"), 1000, ["e1", "other"]).clients == 1


def test_the_limits_edge_is_one_client() -> None:
    Plan(endpoints(10), 62).require()  # 47, without the quarter that is reserved
    with pytest.raises(ConfigError) as caught:
        Plan(endpoints(10), 61).require()
    assert caught.value.exit_status == 78
    assert str(caught.value) == (
        "too few descriptors: the limit is 61; 10 endpoints take 30, the service 16, 15 are "
        "reserved; raise the limit: LimitNOFILE= in the unit, or `ulimit -n` in the shell"
    )
    Plan(endpoints(10, "datagram"), 61).require()  # it has no connections


def test_few_clients_for_each_endpoint_are_worth_a_warning() -> None:
    assert ceiling(20_000) == 19_872
    assert Plan(endpoints(5000), 20_000).warning() == (
        "descriptors for 4856 clients only: the limit is 20000; 5000 endpoints take 15000, the "
        "service 16, 128 are reserved; raise the limit: LimitNOFILE= in the unit, or `ulimit -n` "
        "in the shell"
    )
    assert not Plan(endpoints(5000), 65_536).warning()
    assert not Plan(endpoints(2), 1024).warning()
    assert not Plan(endpoints(100, "datagram"), 512).warning()
