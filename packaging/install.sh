#!/bin/sh
# The part of `./dev install` and `./dev uninstall` that needs root: installs the built files, without the network.
#   install.sh install PYTHON VENV WHEEL...     PYTHON: the service's; VENV: one that has pip
#   install.sh uninstall
set -eu
umask 022 # sudo may pass the caller's on; the service's account must be able to read all of this
cd "$(dirname -- "$0")/.."

service=localechod.service
socket=localechod.socket
account=localecho
prefix=/opt/localechod
bin=/usr/local/bin
# systemd, sysusers and tmpfiles all read /usr/local/lib. /etc/systemd is left to the administrator: `systemctl mask` fails
# if a unit file has the name there.
unit=/usr/local/lib/systemd/system/$service
socket_unit=/usr/local/lib/systemd/system/$socket
# Has no effect there; an administrator copies it to /etc/systemd/system, as its first lines say.
never_root=/usr/local/share/localechod/never-root.conf
sysusers=/usr/local/lib/sysusers.d/localechod.conf
tmpfiles=/usr/local/lib/tmpfiles.d/localechod.conf
settings=/etc/localechod/localechod.toml
share=/usr/local/share

# shellcheck source=packaging/placing.sh
. packaging/placing.sh

systemd_runs() { [ -d /run/systemd/system ]; }

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
    share_files
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
    if systemd_runs; then
        # The socket unit first: while it listens, the next client starts the service again.
        [ ! -e "$socket_unit" ] || systemctl -q disable --now $socket
        [ ! -e "$unit" ] || systemctl -q disable --now $service
    fi
    drop "$unit" "$socket_unit" "${never_root%/*}" "$sysusers" "$tmpfiles" "$prefix" /run/localechod
    drop_share_files
    unlink_commands
    if getent passwd "$account" >/dev/null; then
        userdel "$account"
        if getent group "$account" >/dev/null; then groupdel "$account"; fi # userdel leaves a group that has members
        say "account $account removed"
        changed=yes
    fi
    if [ -z "$changed" ]; then say 'not installed; nothing to do'; return; fi
    # Directories that install may have made, if they are empty.
    rmdir -p --ignore-fail-on-non-empty "${unit%/*}" "${sysusers%/*}" "${tmpfiles%/*}" 2>/dev/null || :
    if systemd_runs; then
        systemctl daemon-reload
        systemctl reset-failed $service $socket 2>/dev/null || :
    fi
    say "done; ${settings%/*} is kept"
}

[ "$(id -u)" = 0 ] || die 'only root can do this'
[ ! -e /usr/lib/localechod ] || die 'the Debian package localechod is installed here, with the same account and the same sockets: apt remove localechod'
case ${1-} in
install) shift; install_all "$@" ;;
uninstall) uninstall_all ;;
*) die 'see ./dev help' ;;
esac
