#!/bin/sh
# The part of `./dev install` and `./dev uninstall` that needs root: puts what is built already in place, without the network.
#   install.sh install PYTHON VENV WHEEL...     PYTHON: the service's; VENV: one that has pip
#   install.sh uninstall
set -eu
umask 022 # sudo may have brought the caller's: everything here must be readable for the service's account
cd "$(dirname -- "$0")/.."

service=localechod.service
socket=localechod.socket
account=localecho
prefix=/opt/localechod
commands='localechod localechoctl'
# /usr/local/lib is read by systemd, sysusers and tmpfiles alike, and leaves /etc/systemd to the administrator:
# `systemctl mask` fails where a unit file already has the name there.
unit=/usr/local/lib/systemd/system/$service
socket_unit=/usr/local/lib/systemd/system/$socket
# Of no effect there: who wants it copies it to /etc/systemd/system, as its first lines say.
never_root=/usr/local/share/localechod/never-root.conf
sysusers=/usr/local/lib/sysusers.d/localechod.conf
tmpfiles=/usr/local/lib/tmpfiles.d/localechod.conf
settings=/etc/localechod/localechod.toml
manuals=/usr/local/share/man

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
systemd_runs() { [ -d /run/systemd/system ]; }

changed=
# put SOURCE TARGET: a copy, root's and readable for everybody; untouched where it is so already.
put() {
    if cmp -s "$1" "$2" && [ "$(stat -c %a:%u:%g "$2")" = 644:0:0 ]; then return; fi
    install -D -o root -g root -m 644 "$1" "$2"
    say "$2"
    changed=yes
}

environment() { # environment PYTHON VENV WHEEL...
    python=$1 venv=$2
    shift 2
    built=$(sha256sum "$python" "$@" | sed 's| .*/| |' | sha256sum)
    if [ "$(cat "$prefix/installed" 2>/dev/null)" = "$built" ]; then return; fi
    say "$prefix"
    # A running daemon has its modules in memory already; a failure half-way puts the old environment back.
    rm -rf "$prefix.old"
    [ ! -e "$prefix" ] || mv "$prefix" "$prefix.old"
    trap 'rm -rf "$prefix"; [ ! -e "$prefix.old" ] || mv "$prefix.old" "$prefix"' EXIT
    "$python" -m venv --without-pip "$prefix"
    "$venv/bin/python" -m pip -qq --python "$prefix/bin/python" install --no-index --no-deps "$@"
    # Root runs these: nothing is to come from PYTHON* variables, as a caller's environment may have them.
    for name in $commands; do sed -i '1s/$/ -I/' "$prefix/bin/$name"; done
    echo "$built" >"$prefix/installed"
    trap - EXIT
    rm -rf "$prefix.old"
    changed=yes
}

links() {
    for name in $commands; do
        link=/usr/local/bin/$name
        [ "$(readlink "$link")" != "$prefix/bin/$name" ] || continue
        if [ -e "$link" ]; then die "$link is there and not ours; please move it away"; fi
        install -d /usr/local/bin
        ln -sfn "$prefix/bin/$name" "$link"
        say "$link"
        changed=yes
    done
}

account() {
    if getent passwd "$account" >/dev/null; then return; fi
    say "account $account"
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$sysusers"
    else
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$account"
    fi
    changed=yes
}

install_all() {
    links
    environment "$@"
    put "packaging/systemd/$service" "$unit"
    put "packaging/systemd/$socket" "$socket_unit"
    put packaging/systemd/never-root.conf "$never_root"
    put packaging/systemd/sysusers.d/localechod.conf "$sysusers"
    put packaging/systemd/tmpfiles.d/localechod.conf "$tmpfiles"
    for page in man/*; do put "$page" "$manuals/man${page##*.}/${page##*/}"; done
    [ -e "$settings" ] || put etc/localechod.toml "$settings"
    account
    if [ -z "$changed" ]; then say 'everything is in place already; nothing changed'; return; fi
    if ! systemd_runs; then
        say "done; systemd does not run here, so start it by hand: localechod --detach"
        return
    fi
    systemd-tmpfiles --create "$tmpfiles"
    systemctl daemon-reload
    if systemctl -q is-active $service; then
        say 'done; the running service changes with: systemctl restart localechod'
    else
        say 'done; now: systemctl start localechod (and at every boot: systemctl enable localechod)'
    fi
}

uninstall_all() {
    removed=
    if systemd_runs; then
        # The socket first: as long as it listens, the next client would start the service again.
        [ ! -e "$socket_unit" ] || systemctl -q disable --now $socket
        [ ! -e "$unit" ] || systemctl -q disable --now $service
    fi
    for path in "$unit" "$socket_unit" "${never_root%/*}" "$sysusers" "$tmpfiles" "$manuals"/man[158]/localecho* "$prefix" /run/localechod; do
        [ -e "$path" ] || continue
        rm -rf "$path"
        say "$path removed"
        removed=yes
    done
    for name in $commands; do
        link=/usr/local/bin/$name
        [ "$(readlink "$link")" = "$prefix/bin/$name" ] || continue
        rm "$link"
        say "$link removed"
        removed=yes
    done
    if getent passwd "$account" >/dev/null; then
        userdel "$account"
        if getent group "$account" >/dev/null; then groupdel "$account"; fi # userdel leaves a group that has members
        say "account $account removed"
        removed=yes
    fi
    if [ -z "$removed" ]; then say 'not installed; nothing to do'; return; fi
    # The directories that install made, where nobody else has put something into them.
    rmdir -p --ignore-fail-on-non-empty "${unit%/*}" "${sysusers%/*}" "${tmpfiles%/*}" 2>/dev/null || :
    rmdir --ignore-fail-on-non-empty "$manuals"/man[158] 2>/dev/null || :
    if systemd_runs; then
        systemctl daemon-reload
        systemctl reset-failed $service $socket 2>/dev/null || :
    fi
    say "done; ${settings%/*} is kept"
}

[ "$(id -u)" = 0 ] || die 'only root can do this'
case ${1-} in
install) shift; install_all "$@" ;;
uninstall) uninstall_all ;;
*) die 'see ./dev help' ;;
esac
