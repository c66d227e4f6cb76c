"""What is passed in is read once; each descriptor goes where its name says, in any order."""

import os
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.config.reader import _NAME as ENDPOINT
from localechod.daemon.inherited import (
    CONFIG,
    CONNECTIONS,
    CONTROL,
    CRASH_SLOTS,
    STATE,
    Inherited,
    StoredConnection,
    endpoint_name,
    parse,
)

PASSED = {
    "localechod.socket": [10, 11],
    "s": [12],
    "@s": [13, 14],
    "@7@s": [15],
    "@8@@odd": [16, 17],
    CONTROL: [18],
    CONNECTIONS: [19],
    CRASH_SLOTS: [20],
}


def test_each_name_says_what_its_descriptor_is() -> None:
    assert parse(PASSED) == Inherited(
        activated=(("localechod.socket", 10), ("localechod.socket", 11), ("s", 12)),
        endpoints={"s": (13, 14)},
        control=(18,),
        connections=(19,),
        crash_slots=(20,),
        crash_kept={
            7: StoredConnection("@7@s", (15,)),
            8: StoredConnection("@8@@odd", (16, 17)),
        },
    )


def test_no_descriptor_is_lost() -> None:
    assert sorted(parse(PASSED).descriptors()) == list(range(10, 21))


def test_the_order_of_the_names_means_nothing() -> None:
    chosen = list(PASSED.items())[2:7]
    assert all(parse(dict(order)) == parse(dict(chosen)) for order in permutations(chosen))


def test_nothing_is_inherited_where_nothing_is_passed() -> None:
    assert parse({}) == Inherited()


def test_memory_files_are_read_and_closed() -> None:
    files = {name: os.memfd_create("test") for name in (STATE, CONFIG)}
    for memory in files.values():
        os.write(memory, b"text\xff")
    found = parse({name: [memory] for name, memory in files.items()})
    assert (found.state, found.config) == (b"text\xff", "text\ufffd")
    for memory in files.values():
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(memory)


def test_a_stored_name_that_is_no_endpoints_is_still_found() -> None:
    assert parse({"@@of another version": [9]}).endpoints == {"@of another version": (9,)}


@given(st.from_regex(ENDPOINT))
def test_no_name_of_an_endpoint_is_taken_for_another_thing(name: str) -> None:
    assert parse({endpoint_name(name): [9]}) == Inherited(endpoints={name: (9,)})
    assert parse({f"@1@{name}": [9]}).crash_kept == {1: StoredConnection(f"@1@{name}", (9,))}
