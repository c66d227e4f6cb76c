"""Every command that the documentation shows is run, and prints what is shown."""

import re
from pathlib import Path

import pytest

from tests.system.machine import CHECKOUT, Machine
from tests.system.pages import faults, steps

pytestmark = pytest.mark.xdist_group("machine")

PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
WITH_COMMANDS = [page for page in PAGES if list(steps(page.read_text()))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(service: Machine, page: Path) -> None:
    found = faults(service, page)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_stands_where_it_is_not_tried(page: Path) -> None:
    text = page.read_text()
    fenced = re.sub(r"(?ms)^```.*?^```$", "", text)
    assert not re.findall(r"(?m)^ {4}[$#] .*", fenced)
    for reason in re.findall(r"<!-- not run: (.*?) -->", text):
        assert len(reason.split()) > 2


def anchors(page: Path) -> set[str]:
    """Return what GitHub calls the headings of a page in a link."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_to_a_file_and_a_heading(page: Path) -> None:
    links = r"(?:\]\(|src(?:set)?=\")(?!https?:)([^)#\"]*)(?:#([^)\"]*))?"
    for file, heading in re.findall(links, page.read_text()):
        target = page.parent / file if file else page
        assert target.exists(), file
        assert not heading or heading in anchors(target), f"{file}#{heading}"
