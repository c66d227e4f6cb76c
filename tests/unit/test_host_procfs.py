"""Parsing of /proc/PID/status, uid_map and gid_map, from text as the kernel writes it."""

from pathlib import Path

import pytest

from localechod.host.procfs import (
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    IdRange,
    capabilities,
    id_inside,
    parse_id_map,
    parse_status,
)

STATUS = """Name:\tsleep
Uid:\t5\t5\t5\t5
Groups:\t50 60\x20
CapEff:\t0000000000000006
CapBnd:\t000001ffffffffff
"""
ID_MAP = b"         0     100000      65536\n     65536          5          1\n"


def test_the_fields_of_a_status_file_are_found_by_name() -> None:
    fields = parse_status(STATUS)
    assert fields["Uid"].split() == ["5"] * 4
    assert fields["Groups"] == "50 60"


def test_the_name_of_a_process_forges_no_field() -> None:
    assert "NoNewPrivs" not in parse_status("Name:\tx\x0cNoNewPrivs:\t1\nUmask:\t0022\n")


def test_a_capability_set_is_a_bit_mask() -> None:
    assert capabilities(parse_status(STATUS), "CapEff") == CAP_DAC_OVERRIDE | CAP_DAC_READ_SEARCH
    assert capabilities(parse_status(STATUS), "CapBnd").bit_length() == 41


def test_a_missing_capability_set_is_an_error() -> None:
    with pytest.raises(KeyError):
        capabilities(parse_status(STATUS), "CapAmb")


def test_an_id_map_has_one_range_per_line() -> None:
    assert parse_id_map(ID_MAP) == (IdRange(0, 100000, 65536), IdRange(65536, 5, 1))
    assert parse_id_map(b"") == ()


@pytest.mark.parametrize(
    ("outside", "inside"),
    [(100000, 0), (165535, 65535), (165536, None), (5, 65536), (6, None), (0, None)],
)
def test_an_id_is_translated_where_the_map_has_it(outside: int, inside: int | None) -> None:
    assert id_inside(outside, parse_id_map(ID_MAP)) == inside


def test_the_files_of_this_process_are_understood() -> None:
    own = Path("/proc/self")
    assert capabilities(parse_status((own / "status").read_text(errors="replace")), "CapBnd") >= 0
    assert all(line.count > 0 for line in parse_id_map((own / "uid_map").read_bytes()))
