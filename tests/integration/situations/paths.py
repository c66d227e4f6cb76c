"""Directories, links and names, and files that are no socket."""

import errno
import os

from tests.integration.situations.table import (
    situation,
)
from tests.integration.stage import (
    NOBODY,
    Asked,
    Stage,
    become,
)

# ---- directories and links -----------------------------------------------------------------------


@situation(errno.EACCES)
def a_directory_without_the_x_bit(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o766) / "s")
    return stage.ask("closed/s")


@situation(0)
def a_directory_that_may_be_passed_and_not_read(stage: Stage) -> Asked:
    stage.listener(stage.folder("passage", 0o711) / "s")
    return stage.ask("passage/s")


@situation(errno.EACCES)
def a_closed_directory_hides_that_there_is_nothing(stage: Stage) -> Asked:
    stage.folder("closed", 0o700)
    return stage.ask("closed/nothing")


@situation(0)
def a_sticky_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("sticky", 0o1777) / "s")
    return stage.ask("sticky/s")


@situation(errno.ENOENT)
def a_directory_that_is_not_there(stage: Stage) -> Asked:
    return stage.ask("nowhere/s")


@situation(errno.ENOTDIR)
def a_file_where_a_directory_should_be(stage: Stage) -> Asked:
    (stage.directory / "file").touch()
    return stage.ask("file/s")


@situation(errno.ENOTDIR)
def a_slash_behind_the_socket(stage: Stage) -> Asked:
    stage.listener()
    return stage.ask(os.fsencode(stage.directory / "s") + b"/")


@situation(0)
def slashes_and_dots_in_the_path(stage: Stage) -> Asked:
    stage.folder("a")
    stage.listener()
    return stage.ask(os.fsencode(stage.directory) + b"//a/./../s")


@situation(errno.EACCES)
def dots_through_a_closed_directory(stage: Stage) -> Asked:
    stage.folder("closed", 0o700)
    stage.listener()
    return stage.ask("closed/../s")


@situation(0)
def a_link_to_the_socket(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "link").symlink_to("s")
    return stage.ask("link")


@situation(0)
def a_link_to_the_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("a") / "s")
    (stage.directory / "link").symlink_to(stage.directory / "a")
    return stage.ask("link/s")


@situation(errno.EACCES)
def a_link_that_leads_through_a_closed_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s")
    (stage.directory / "link").symlink_to("closed/s")
    return stage.ask("link")


@situation(errno.ENOENT)
def a_link_to_nothing(stage: Stage) -> Asked:
    (stage.directory / "link").symlink_to("nothing")
    return stage.ask("link")


@situation(errno.ELOOP)
def two_links_to_each_other(stage: Stage) -> Asked:
    (stage.directory / "a").symlink_to("b")
    (stage.directory / "b").symlink_to("a")
    return stage.ask("a")


def _chain(stage: Stage, length: int) -> Asked:
    stage.listener("0")
    for number in range(length):
        (stage.directory / str(number + 1)).symlink_to(str(number))
    return stage.ask(str(length))


@situation(0)
def as_many_links_as_the_kernel_follows(stage: Stage) -> Asked:
    return _chain(stage, 40)


@situation(errno.ELOOP)
def one_link_more_than_the_kernel_follows(stage: Stage) -> Asked:
    return _chain(stage, 41)


@situation(errno.ENOTDIR)
def a_link_with_a_slash_behind_its_target(stage: Stage) -> Asked:
    stage.listener()
    (stage.directory / "link").symlink_to("s/")
    return stage.ask("link")


@situation(errno.ENAMETOOLONG)
def a_link_to_a_name_that_is_too_long(stage: Stage) -> Asked:
    (stage.directory / "link").symlink_to("x" * 300)
    return stage.ask("link")


# ---- names ---------------------------------------------------------------------------------------


@situation(errno.EINVAL)
def a_path_that_is_too_long(stage: Stage) -> Asked:
    return stage.ask(b"/tmp/" + b"x" * 104)


@situation(errno.ENOENT, unknowable="108 bytes: it depends on the client's language")
def a_path_without_room_for_its_nul(stage: Stage) -> Asked:
    return stage.ask(b"/tmp/" + b"x" * 103)


@situation(0)
def the_longest_path(stage: Stage) -> Asked:
    name = "x" * (106 - len(str(stage.directory)))
    stage.listener(name)
    return stage.ask(name)


@situation(0)
def a_name_with_a_newline_and_an_escape(stage: Stage) -> Asked:
    stage.listener("a\n\x1b[31mb")
    return stage.ask("a\n\x1b[31mb")


@situation(0)
def a_name_that_is_no_text(stage: Stage) -> Asked:
    stage.listener("\udcff\udcfe")
    return stage.ask("\udcff\udcfe")


@situation(0)
def a_relative_path(stage: Stage) -> Asked:
    stage.listener()

    def enter() -> None:
        os.chdir(stage.directory)
        become(NOBODY)

    return stage.ask(b"s", enter=enter)


@situation(0)
def a_relative_path_out_of_the_working_directory(stage: Stage) -> Asked:
    stage.listener()
    stage.folder("a/b")

    def enter() -> None:
        os.chdir(stage.directory / "a/b")
        become(NOBODY)

    return stage.ask(b"../../s", enter=enter)


# ---- what stands at the end ----------------------------------------------------------------------


@situation(errno.ENOENT)
def nothing(stage: Stage) -> Asked:
    return stage.ask("nothing")


@situation(errno.ECONNREFUSED)
def a_regular_file(stage: Stage) -> Asked:
    (stage.directory / "file").touch()
    (stage.directory / "file").chmod(0o666)
    return stage.ask("file")


@situation(errno.EACCES)
def a_regular_file_that_may_not_be_written(stage: Stage) -> Asked:
    (stage.directory / "file").touch(0o644)
    return stage.ask("file")


@situation(errno.ECONNREFUSED)
def a_fifo(stage: Stage) -> Asked:
    os.mkfifo(stage.directory / "fifo")
    (stage.directory / "fifo").chmod(0o666)
    return stage.ask("fifo")


@situation(errno.ECONNREFUSED)
def a_directory_of_ones_own(stage: Stage) -> Asked:
    stage.folder("a", 0o777)
    return stage.ask("a")


@situation(errno.EACCES)
def somebody_elses_directory(stage: Stage) -> Asked:
    stage.folder("a")
    return stage.ask("a")


@situation(errno.ECONNREFUSED)
def a_device(stage: Stage) -> Asked:
    return stage.ask(b"/dev/null")
