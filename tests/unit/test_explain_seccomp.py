"""Seccomp filters: what is foretold of them is what the kernel does."""

import ctypes
import errno
import os
import signal
import socket
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localechod.errors import LocalechodError, NotPermittedError
from localechod.explain import bpf, sandbox
from localechod.explain.filters import read_filters
from localechod.explain.seccomp import KILLED, Answer, client_calls
from tests.unit.sandboxes import (
    ALLOW,
    ARCH,
    ERRNO,
    KILL,
    TRAP,
    Instructions,
    answering,
    enter_landlock,
    install,
    packed,
    process,
)

pytestmark = pytest.mark.skipif(ARCH is None, reason="system calls of this machine are not known")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="reading filters needs root")

ALLOWED = dict.fromkeys(("socket", "connect", "sendto", "sendmsg"), Answer("allowed"))
FILTERS = [
    ([answering("socket", ERRNO | errno.EAFNOSUPPORT, socket.AF_UNIX)],
     {"socket": Answer("fails", errno.EAFNOSUPPORT)}),
    ([answering("socket", ERRNO | errno.EAFNOSUPPORT, socket.AF_INET)], {}),
    ([answering("connect", ERRNO | errno.EPERM)], {"connect": Answer("fails", errno.EPERM)}),
    ([answering("connect", KILL)], {"connect": KILLED}),
    ([answering("sendto", ERRNO | errno.EACCES), answering("sendmsg", ERRNO | errno.ENOSYS)],
     {"sendto": Answer("fails", errno.EACCES), "sendmsg": Answer("fails", errno.ENOSYS)}),
    # Of two filters the lower action wins, whichever was installed first.
    ([answering("connect", KILL), answering("connect", ERRNO | errno.EPERM)],
     {"connect": KILLED}),
    ([answering("connect", ERRNO | errno.EPERM), answering("connect", KILL)],
     {"connect": KILLED}),
]  # fmt: skip


def installing(filters: list[Instructions]) -> Callable[[], None]:
    def prepare() -> None:
        for each in filters:
            install(each)

    return prepare


@needs_root
@pytest.mark.parametrize(("filters", "different"), FILTERS)
def test_the_filters_of_another_process_are_read_and_it_goes_on(
    filters: list[Instructions], different: dict[str, Answer]
) -> None:
    with process(installing(filters)) as pid:
        found = sandbox.inspect(pid, socket.SOCK_STREAM, read=True)
    assert found.calls == {**ALLOWED, **different}
    assert found.unread == 0


@pytest.mark.parametrize(("filters", "different"), FILTERS)
def test_our_own_are_tried_out(filters: list[Instructions], different: dict[str, Answer]) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            installing(filters)()
            found = sandbox.inspect(os.getpid(), socket.SOCK_STREAM, read=False)
            os.write(writing, repr(sorted(found.calls.items())).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == repr(sorted({**ALLOWED, **different}.items()))
    os.waitpid(child, 0)


def test_an_argument_that_is_not_known_leaves_the_answer_open() -> None:
    program = bpf.parse_program(packed(answering("connect", ERRNO | errno.EPERM, 5)))
    assert ARCH is not None
    answers = client_calls([program], ARCH, socket.SOCK_STREAM)
    assert answers == {**ALLOWED, "connect": Answer("unknown")}


@pytest.mark.parametrize("action", [TRAP, 0x7FC00000, 0x7FF00000, ERRNO])
def test_what_another_program_decides_is_unknown(action: int) -> None:
    assert ARCH is not None
    program = bpf.parse_program(packed(answering("socket", action)))
    assert client_calls([program], ARCH, socket.SOCK_STREAM)["socket"] == Answer("unknown")


def test_on_an_architecture_that_is_not_known_everything_is_unknown() -> None:
    answers = client_calls([], 0x40000003, socket.SOCK_STREAM)
    assert set(answers.values()) == {Answer("unknown")}


def test_filters_that_are_not_read_are_counted() -> None:
    with process(installing([answering("connect", KILL), answering("socket", KILL)])) as pid:
        found = sandbox.inspect(pid, socket.SOCK_STREAM, read=False)
    assert (found.calls, found.unread) == ({}, 2)


def test_a_process_without_a_filter_has_no_sandbox_and_a_new_login_neither() -> None:
    with process(lambda: None) as pid:
        assert sandbox.inspect(pid, socket.SOCK_STREAM, read=True).calls == {}
    assert sandbox.inspect(None, socket.SOCK_STREAM, read=True) == sandbox.Sandbox()


@pytest.mark.skipif(
    sandbox.landlock_version() < sandbox.ABSTRACT_NAMES, reason="Landlock has no scopes here"
)
def test_a_landlock_domain_is_held_possible() -> None:
    with process(enter_landlock) as pid:
        found = sandbox.inspect(pid, socket.SOCK_STREAM, read=False)
    assert found.landlock >= sandbox.ABSTRACT_NAMES
    with process(lambda: None) as pid:
        assert sandbox.inspect(pid, socket.SOCK_STREAM, read=False).landlock == 0


@needs_root
def test_a_process_that_ends_is_an_error_of_one_line() -> None:
    with process(lambda: None) as pid:
        pass
    with pytest.raises(LocalechodError, match=r"filters of process \d+ failed: No such"):
        read_filters(pid)


@needs_root
def test_without_rights_it_says_who_can() -> None:
    with process(installing([answering("connect", KILL)])) as pid:
        child = os.fork()
        if not child:
            code = 1
            try:
                os.setresuid(65534, 65534, 65534)
                read_filters(pid)
            except NotPermittedError:
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Random programs, carried out by the kernel and by us

WORDS = st.sampled_from([0, 1, 2, 3, 7, 0xFF, 2**31, 2**32 - 1])
RETURNS = st.integers(1, 60).map(lambda number: (0x06, 0, 0, ERRNO | number))
OTHERS = st.one_of(
    st.tuples(st.just(0x20), st.just(0), st.just(0), st.sampled_from([0, 4, 16, 20, 24, 32])),
    st.tuples(st.sampled_from([0x00, 0x01]), st.just(0), st.just(0), WORDS),
    st.tuples(st.sampled_from([0x60, 0x61, 0x02, 0x03]), st.just(0), st.just(0), st.integers(0, 1)),
    st.tuples(
        st.sampled_from([0x04, 0x14, 0x24, 0x44, 0x54, 0xA4, 0x0C, 0x1C, 0x4C, 0x5C, 0xAC, 0x84]),
        st.just(0), st.just(0), WORDS,
    ),
    st.tuples(st.sampled_from([0x64, 0x74]), st.just(0), st.just(0), st.integers(0, 31)),
    st.tuples(st.sampled_from([0x34]), st.just(0), st.just(0), st.sampled_from([1, 3, 7])),
    st.tuples(st.sampled_from([0x07, 0x87, 0x80]), st.just(0), st.just(0), st.just(0)),
    st.tuples(
        st.sampled_from([0x15, 0x25, 0x35, 0x45, 0x1D, 0x2D, 0x3D, 0x4D]),
        st.integers(0, 2), st.integers(0, 2), WORDS,
    ),
)  # fmt: skip


@settings(max_examples=80)
@given(
    st.lists(st.one_of(OTHERS, RETURNS), max_size=12),
    st.lists(RETURNS, min_size=3, max_size=3),
    st.lists(WORDS, min_size=3, max_size=3),
)
def test_random_programs_return_what_the_kernel_returns(
    body: list[tuple[int, int, int, int]],
    end: list[tuple[int, int, int, int]],
    arguments: list[int],
) -> None:
    # The guard below changes A. The kernel refuses to load a memory cell that has no value yet.
    code = [(0x00, 0, 0, 0), (0x02, 0, 0, 0), (0x02, 0, 0, 1), *body, *end]
    assert ARCH is not None
    number = _getppid()
    by_us = bpf.results(
        bpf.parse_program(packed(code)), number, ARCH, [*arguments, None, None, None]
    )
    guard = [(0x20, 0, 0, 0), (0x15, 1, 0, number), (0x06, 0, 0, ALLOW)]
    by_kernel = _errno_of_getppid([*guard, *code], arguments)
    assert by_us == {ERRNO | by_kernel}


def _getppid() -> int:
    return {0xC000003E: 110}.get(ARCH or 0, 173)


def _errno_of_getppid(program: Instructions, arguments: list[int]) -> int:
    """Return the errno that getppid gets from a filter, in a child process."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long, *[ctypes.c_ulong] * 3]
    child = os.fork()
    if not child:
        code = 255
        try:
            install(program)
            if libc.syscall(_getppid(), *arguments) < 0:
                code = ctypes.get_errno()
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFSIGNALED(status), signal.Signals(os.WTERMSIG(status))
    return os.WEXITSTATUS(status)
