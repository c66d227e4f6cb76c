"""The checks of the path to a socket file: name, directories, links, file type, and permission.

They use only what `gather` found, and look up the names of users and groups. The order of the
errors is that of unix_find_bsd() in Linux's net/unix/af_unix.c: path lookup, write permission,
then whether the file is a socket.
"""

import errno
import stat
from collections.abc import Sequence

from localechod.explain import beside, not_sockets, shell
from localechod.explain.access import Want, decide
from localechod.explain.check import Check, Denial, ok
from localechod.explain.client import Client
from localechod.explain.dead_mounts import check_dead_mount
from localechod.explain.facts import LONGEST, Facts, Question
from localechod.explain.inode import Node
from localechod.explain.jump_checks import check_jump
from localechod.explain.lost_checks import check_lost
from localechod.explain.not_sockets import Content
from localechod.explain.remedy import Remedy, advice
from localechod.explain.security_checks import check_file
from localechod.explain.server_checks import check_server_of_files, check_user_of_files
from localechod.explain.walk import Step, Walk
from localechod.localsocket.hints import kind
from localechod.text import escape

_AS_ROOT = advice("run explain as root, or use --probe")
_OUTSIDE = advice("run explain outside this user namespace, with --pid")


def check_name(question: Question) -> Check:
    """Check the length of the name (unix(7))."""
    length = len(question.name)
    if question.is_abstract:
        if length > LONGEST:
            detail = f"{length} bytes with the leading NUL; the limit is {LONGEST}"
            return Check("name", "problem", detail, errno.EINVAL, advice("choose a shorter name"))
        return ok("name", f"abstract, {length} of {LONGEST} bytes")
    if length > LONGEST:
        detail = f"{length} bytes; the limit for a socket's path is {LONGEST - 1}"
        return Check("name", "problem", detail, errno.EINVAL, advice("choose a shorter directory"))
    if length == LONGEST:
        detail = (
            f"{length} bytes: Linux accepts it without a terminating NUL, but most programs and "
            f"languages accept at most {LONGEST - 1}"
        )
        return Check("name", "unknown", detail, remedy=advice("choose a shorter directory"))
    shown = f"{length} of {LONGEST - 1} bytes"
    if question.name.startswith(b"/"):
        return ok("name", shown)
    return ok("name", f"{shown}; relative, so it depends on the working directory")


def check_path(facts: Facts, walk: Walk) -> list[Check]:
    """Check each directory and link, the type of the file, and write permission."""
    question = facts.question
    checks: list[Check] = []
    seen: set[bytes] = set()
    for step in walk.steps:
        is_new = step.path not in seen
        seen.add(step.path)
        if step.target:
            checks.append(_link(step, question.client, protected=facts.protected_links))
        elif step.owner and facts.inspector:
            name = question.client.name
            checks.append(check_jump(step.path, step.owner, facts.inspector, name))
        elif is_new:
            checks.append(_directory(step, question))
        if is_new:
            checks += check_file(facts, step.path)
    if walk.failure:
        where = escape(walk.stopped_at)
        if closed := check_user_of_files("directory", where, walk.closed, question.client):
            return [*checks, closed]
        detail = f"cannot inspect {where}: {walk.failure}"
        return [*checks, Check("file", "unknown", detail, remedy=_AS_ROOT)]
    lost = check_lost(facts.absence.lost, facts.activation)
    if walk.end is None:
        dead = check_dead_mount(facts.absence.dead_mount)
        return [*checks, *dead, *lost, _failed_lookup(facts, walk)]
    file = _last_component(walk.end, question.client, facts.content)
    permission = _permission(walk.end, question)
    if file.result == "problem":
        return [*checks, *lost, file, permission]
    refused = check_file(facts, walk.end.path)
    return [*checks, file, permission, *refused, *_mount(walk.end, walk.steps), *lost]


def listing(node: Node, client: Client) -> str:
    """Show mode, owner and group as ``ls -l`` does, with its "+" for an ACL.

    They are named as the client names them: by number where our accounts do not apply to it.
    """
    plus = "+" if node.acl is not None else ""
    owner, group = client.user_name(node.uid), client.group_name(node.gid)
    return f"{stat.filemode(node.mode)}{plus} {owner} {group}"


def _link(step: Step, client: Client, *, protected: bool) -> Check:
    detail = f"{escape(step.path)} -> {escape(step.target)}"
    parent = step.parent
    # may_follow_link() in fs/namei.c: no capability overrides this, so it applies to root too
    open_to_all = stat.S_ISVTX | stat.S_IWOTH
    if not protected or parent is None or parent.mode & open_to_all != open_to_all:
        return ok("symlink", detail)
    if step.node.uid not in {client.uid, parent.uid}:
        return Check(
            "symlink",
            "problem",
            f"{detail}, owned by {client.user_name(step.node.uid)}: in a sticky directory, only "
            "links that the client or the directory's owner owns are followed "
            "(fs.protected_symlinks)",
            errno.EACCES,
            denial=Denial(step, None),
        )
    if client.overflow_ids and step.node.uid == client.overflow_ids[0]:
        return _unmapped("symlink", f"follow {detail}", client)
    return ok("symlink", detail)


def _directory(step: Step, question: Question) -> Check:
    shown = f"{escape(step.path)} ({listing(step.node, question.client)})"
    ruling = decide(step.node, question.client, Want.SEARCH)
    served = check_server_of_files("directory", shown, step.mount, question.client, ruling)
    if served is not None:
        return served
    if not ruling.certain:
        return _unmapped("directory", f"enter {shown}", question.client)
    if ruling.allowed:
        return ok("directory", shown)
    detail = f"{question.client.called} may not enter {shown}, {ruling.why}"
    return Check("directory", "problem", detail, errno.EACCES, denial=Denial(step, Want.SEARCH))


def _failed_lookup(facts: Facts, walk: Walk) -> Check:
    where = escape(walk.stopped_at)
    if walk.number == errno.ENOENT and not walk.last:
        text = "start the server if it creates that directory, or correct the path"
        remedy = advice(_with_hint(text, facts))
        return Check("directory", "problem", f"{where} does not exist", errno.ENOENT, remedy)
    if walk.number == errno.ENOENT:
        dangling = any(step.parent is not None for step in walk.steps)
        what = "a symbolic link to a missing target: " if dangling else ""
        detail = f"{what}{where} does not exist"
        return Check("file", "problem", detail, errno.ENOENT, _start_remedy(facts))
    causes = {
        errno.ENOTDIR: (f"{where} is not a directory", "correct the path"),
        errno.ELOOP: (f"too many symbolic links, perhaps a loop: {where}", "correct the links"),
        errno.ENAMETOOLONG: (f"a component of the path is too long: {where}", "correct the links"),
    }
    detail, text = causes[walk.number]
    return Check("directory", "problem", detail, walk.number, advice(text))


def _start_remedy(facts: Facts) -> Remedy:
    unit = facts.activation
    if unit is not None:
        name = escape(unit.name)
        return advice(f"start {name}, which listens there", f"systemctl start {shell.word(name)}")
    text = "start the server, or find out where it listens: localechoctl sockets --listening"
    return advice(_with_hint(text, facts))


def _with_hint(text: str, facts: Facts) -> str:
    return "; ".join(filter(None, (text, beside.show(facts.absence.beside))))


def _last_component(end: Step, client: Client, content: Content) -> Check:
    shown = f"{kind(end.node.mode)} ({listing(end.node, client)})"
    if stat.S_ISSOCK(end.node.mode):
        return ok("file", shown)
    read_only = end.mount is not None and end.mount.read_only
    if read_only and stat.S_IFMT(end.node.mode) in {stat.S_IFREG, stat.S_IFDIR}:
        number = errno.EROFS
    elif not decide(end.node, client, Want.WRITE).allowed:
        number = errno.EACCES  # the kernel checks permission first
    else:
        number = errno.ECONNREFUSED
    more, remedy = not_sockets.describe(content, end.path)
    return Check("file", "problem", f"{shown}, not a socket{more}", number, remedy)


def _permission(end: Step, question: Question) -> Check:
    client = question.client
    ruling = decide(end.node, client, Want.WRITE)
    served = check_server_of_files("permission", "write permission", end.mount, client, ruling)
    if served is not None:
        return served
    if not ruling.certain:
        return _unmapped("permission", "write to it", client)
    if not ruling.allowed:
        detail = f"{client.called} may not write to it, {ruling.why}, and connect needs that"
        return Check("permission", "problem", detail, errno.EACCES, denial=Denial(end, Want.WRITE))
    read_only = "; a read-only file system does not prevent connect"
    note = read_only if end.mount and end.mount.read_only else ""
    return ok("permission", f"{client.called} may write to it, {ruling.why}{note}")


def _mount(end: Step, steps: Sequence[Step]) -> list[Check]:
    """Check a socket file that is itself a mount point: it stays the file that was mounted."""
    if end.mount is None or not stat.S_ISSOCK(end.node.mode) or end.mount == steps[-1].mount:
        return []
    if end.mount.is_deleted:
        detail = (
            "a bind mount of a file that was removed at its source: a server that binds again "
            "creates another file, which is not visible here"
        )
        remedy = advice("mount the directory instead of the file; for now, restart the container")
        return [Check("mount", "problem", detail, remedy=remedy)]
    return [ok("mount", f"bind-mounted from {escape(end.mount.root)}")]


def _unmapped(name: str, what: str, client: Client) -> Check:
    detail = (
        f"whether {client.called} may {what} depends on its owner and group, "
        "which are not mapped in this user namespace"
    )
    return Check(name, "unknown", detail, errno.EACCES, _OUTSIDE)
