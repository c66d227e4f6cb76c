"""docs/testing.md: its files pass in a stranger's session, and fail where the client is worse."""

import re
from pathlib import Path

import pytest

from tests.integration.testing_page import FILES, PAGE

pytest_plugins = ["pytester"]

TESTS = [name for name in FILES if name.startswith("test_")]
NEEDS = {"test_redis.py": "redis", "test_grpc.py": "grpc"}


def write(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).write_text(FILES[name], encoding="utf-8")


def test_the_page_has_a_client_and_tests_of_four_kinds_of_clients() -> None:
    assert sorted(FILES) == sorted(
        ["client.py", "test_first.py", "test_troubles.py", *NEEDS, "test_http.py"]
    )


@pytest.mark.parametrize("name", TESTS)
def test_a_file_of_the_page_passes(pytester: pytest.Pytester, name: str) -> None:
    pytest.importorskip(NEEDS.get(name, "socket"))
    write(pytester.path, "client.py", name)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == 0
    assert set(result.parseoutcomes()) == {"passed"}


def test_a_mistake_is_shown_as_on_the_page(pytester: pytest.Pytester) -> None:
    ((code, error),) = re.findall(r"(?m)^>( +local_peer.*)\n(E .*)$", PAGE)
    pytester.makepyfile(f"def test_it(local_peer):\n    {code.strip()}\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert f">{code}\n{error}" in result.stdout.str()


# What an author of a client leaves out, and the tests of the page that notice it.
WORSE = {
    "it does not try again": (
        "except OSError as error:\n",
        "except OSError as error:\n            raise NoReply(str(error)) from error\n",
        ["test_full_backlog", "test_restart", "test_killed", "test_reset"],
    ),
    "it takes half a reply for a whole one": (
        'raise ConnectionError("end of file before the end of the reply")',
        "break",
        ["test_cut_reply", "test_proxy_without_a_server"],
    ),
    "it takes one read for a whole reply": (
        'while not reply.endswith(b"\\n"):',
        "if True:",
        ["test_pieces"],
    ),
    "its deadline begins again with each read": (
        "            limit(sock, deadline)  # for each",
        "            limit(sock, time.monotonic() + 5)  # for each",
        ["test_a_byte_now_and_then"],
    ),
    "it sends a datagram once": (
        "            except TimeoutError:\n                pass",
        "            except TimeoutError:\n                break",
        ["test_lost_datagrams"],
    ),
    "it catches resets only": (
        "except OSError as error",
        "except ConnectionResetError as error",
        ["test_full_backlog", "test_restart", "test_hanging", "test_blocked_write"],
    ),
}


@pytest.mark.parametrize("worse", WORSE)
def test_the_tests_of_the_page_notice_a_client_that_is_worse(
    pytester: pytest.Pytester, worse: str
) -> None:
    good, bad, noticed_by = WORSE[worse]
    assert good in FILES["client.py"]
    write(pytester.path, "test_troubles.py")
    (pytester.path / "client.py").write_text(FILES["client.py"].replace(good, bad))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-k", " or ".join(noticed_by))
    for name in noticed_by:
        result.stdout.fnmatch_lines([f"FAILED test_troubles.py::{name} *"])


def test_each_trouble_of_the_table_names_a_test_of_the_page() -> None:
    rows = re.findall(r"(?m)^\| .* \| `.* \| .* \| (`test_.*`) \|$", PAGE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert len(rows) == 14
    assert named == re.findall(r"(?m)^def (test_\w+)", FILES["test_troubles.py"])
