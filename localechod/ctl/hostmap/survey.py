"""Gathers the facts of the map: all sockets and their processes, and what does not move."""

import os
import time
from collections.abc import Mapping

from localechod.ctl.hostmap import stuck
from localechod.ctl.hostmap.model import Facts
from localechod.ctl.listing import all_sockets, uninspected
from localechod.explain import netns
from localechod.explain.liveness import PAUSE, Process, process, stopped
from localechod.explain.processes import processes_of
from localechod.localsocket.diag import DiagSocket
from localechod.text import escape

Namespaces = list[list[DiagSocket]]


def gather() -> Facts:
    """Look at this host, twice where something waits; takes `PAUSE` seconds more then.

    Raises:
        LocalechodError: the kernel's list of sockets could not be read.
    """
    namespaces, closed = all_sockets()
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    sockets = _by_inode(namespaces)
    # By inode, and also the peers: those may be in a namespace that could not be searched.
    held, unreadable = processes_of({*sockets, *(s.peer for s in sockets.values() if s.peer)})
    pids = {inode: [each.pid for each in holders] for inode, holders in held.items()}
    notes = [text[0].upper() + text[1:] for text in [netns.unsearched(closed)] if text]
    if unreadable:
        notes.append(uninspected(unreadable))
    found = _stuck(sockets, pids)
    return Facts(escape(os.uname().nodename), now, namespaces, held, found, notes)


def _stuck(sockets: Mapping[int, DiagSocket], pids: Mapping[int, list[int]]) -> stuck.Stuck:
    waiting = {each.inode for each in stuck.suspects(sockets.values())}
    holders = {inode: pids[inode] for inode in waiting}
    servers = {pid for some in holders.values() for pid in some}
    first = stuck.Look(sockets, _processes(servers))
    later: Mapping[int, DiagSocket] = {}
    if waiting:
        time.sleep(PAUSE)
        later = _by_inode(all_sockets()[0])
    # A stopped process need not have a queue: the state of all others is read as well.
    others = {pid for some in pids.values() for pid in some} - servers
    second = _processes(servers) | {pid: Process(pid, stopped(pid)) for pid in others}
    return stuck.find(first, stuck.Look(later, second), holders)


def _by_inode(namespaces: Namespaces) -> dict[int, DiagSocket]:
    return {each.inode: each for sockets in namespaces for each in sockets}


def _processes(pids: set[int]) -> dict[int, Process]:
    return {pid: process(pid) for pid in pids}
