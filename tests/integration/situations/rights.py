"""Modes, owners, groups, and access control lists."""

import errno
from functools import partial

from tests.integration.situations.table import (
    SITUATIONS,
    Situation,
    situation,
)
from tests.integration.stage import (
    DAC_OVERRIDE,
    DAC_READ_SEARCH,
    GAMES,
    GROUP,
    GROUP_OBJ,
    MASK,
    NOBODY,
    OTHER,
    STAFF,
    USER,
    USER_OBJ,
    Asked,
    Stage,
    become,
    set_acl,
)

# ---- owner, group, mode --------------------------------------------------------------------------

MODES = [  # mode, owner, group, client, the client's groups, errno
    (0o666, 0, 0, NOBODY, [], 0),
    (0o660, 0, STAFF, NOBODY, [], errno.EACCES),
    (0o660, 0, STAFF, NOBODY, [STAFF], 0),
    (0o660, 0, STAFF, GAMES, [NOBODY, STAFF], 0),
    (0o600, GAMES, 0, GAMES, [], 0),
    (0o600, GAMES, 0, NOBODY, [], errno.EACCES),
    (0o066, GAMES, 0, GAMES, [], errno.EACCES),  # the owner's bits apply, even if others have more
    (0o606, 0, STAFF, NOBODY, [STAFF], errno.EACCES),  # and so do the group's
    (0o606, 0, STAFF, NOBODY, [], 0),
    (0o222, 0, 0, NOBODY, [], 0),  # read permission is not needed
    (0o555, GAMES, 0, GAMES, [], errno.EACCES),
    (0o444, 0, 0, NOBODY, [], errno.EACCES),
    (0o000, GAMES, 0, 0, [], 0),  # root
]


def _of_mode(mode: int, uid: int, gid: int, client: int, groups: list[int], stage: Stage) -> Asked:
    stage.listener(mode=mode, uid=uid, gid=gid)
    if client == 0:
        return stage.ask(enter=lambda: None)
    return stage.ask(uid=client, groups=groups)


SITUATIONS += [
    Situation(
        f"mode_{mode:04o}_of_{uid}_{gid}_for_{client}_with_groups_{groups}",
        partial(_of_mode, mode, uid, gid, client, groups),
        number,
    )
    for mode, uid, gid, client, groups, number in MODES
]


@situation(errno.EACCES)
def root_without_its_capability(stage: Stage) -> Asked:
    stage.listener(mode=0o600, uid=GAMES)
    return stage.ask(enter=lambda: become(0))


@situation(0)
def an_ordinary_user_with_roots_capability(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s", mode=0o600)
    return stage.ask("closed/s", enter=lambda: become(NOBODY, keep=DAC_OVERRIDE))


@situation(0)
def a_capability_that_opens_directories(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s")
    return stage.ask("closed/s", enter=lambda: become(NOBODY, keep=DAC_READ_SEARCH))


@situation(errno.EACCES)
def a_capability_that_opens_directories_and_no_files(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o700) / "s", mode=0o600)
    return stage.ask("closed/s", enter=lambda: become(NOBODY, keep=DAC_READ_SEARCH))


# ---- access control lists ------------------------------------------------------------------------


@situation(0)
def an_acl_lets_a_user_in(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (USER, 6, NOBODY), (GROUP_OBJ, 6, -1), (MASK, 6, -1), (OTHER, 0, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(errno.EACCES)
def an_acl_keeps_a_user_out(stage: Stage) -> Asked:
    stage.listener(mode=0o666)
    acl = [(USER_OBJ, 6, -1), (USER, 4, NOBODY), (GROUP_OBJ, 6, -1), (MASK, 6, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(errno.EACCES)
def the_mask_of_an_acl_cuts_what_it_gives(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (USER, 6, NOBODY), (GROUP_OBJ, 6, -1), (MASK, 4, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(0)
def an_acl_lets_a_group_in(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (GROUP_OBJ, 0, -1), (GROUP, 2, STAFF), (MASK, 6, -1), (OTHER, 0, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask(groups=[STAFF])


@situation(errno.EACCES)
def an_acl_gives_others_more_than_a_group(stage: Stage) -> Asked:
    stage.listener(mode=0o660)
    acl = [(USER_OBJ, 6, -1), (GROUP_OBJ, 6, -1), (GROUP, 4, STAFF), (MASK, 6, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask(groups=[STAFF])


@situation(0)
def an_acl_without_any_bit_for_the_group_class_is_not_looked_at(stage: Stage) -> Asked:
    stage.listener(mode=0o606)
    acl = [(USER_OBJ, 6, -1), (USER, 0, NOBODY), (GROUP_OBJ, 0, -1), (MASK, 0, -1), (OTHER, 6, -1)]
    set_acl(stage.directory / "s", *acl)
    return stage.ask()


@situation(0)
def an_acl_opens_a_directory(stage: Stage) -> Asked:
    stage.listener(stage.folder("closed", 0o710) / "s")
    acl = [(USER_OBJ, 7, -1), (USER, 1, NOBODY), (GROUP_OBJ, 0, -1), (MASK, 1, -1), (OTHER, 0, -1)]
    set_acl(stage.directory / "closed", *acl)
    return stage.ask("closed/s")
