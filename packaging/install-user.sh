#!/bin/sh
# The part of `./dev install --user` and `./dev uninstall --user` after the build: one user's own service, without root.
#   install-user.sh install PYTHON VENV WHEEL...     as install.sh
#   install-user.sh uninstall
set -eu
umask 022
cd "$(dirname -- "$0")/.."

service=localechod.service
socket=localechod.socket
# Fixed paths below the home directory, not those of XDG_*_HOME, which may differ between this shell and the manager.
prefix=$HOME/.local/share/localechod
bin=$HOME/.local/bin
units=$HOME/.config/systemd/user
settings=$HOME/.config/localechod/localechod.toml
share=$HOME/.local/share

# shellcheck source=packaging/placing.sh
. packaging/placing.sh

# A shell by su has no XDG_RUNTIME_DIR, or another user's. The manager listens below this one in any case.
XDG_RUNTIME_DIR=/run/user/$(id -u)
export XDG_RUNTIME_DIR
runtime=$XDG_RUNTIME_DIR/localechod
manager_runs() { [ -S "$XDG_RUNTIME_DIR/systemd/private" ]; }

install_all() {
    links
    environment "$@"
    put packaging/systemd/user/$service "$units/$service"
    put packaging/systemd/user/$socket "$units/$socket"
    share_files
    [ -e "$settings" ] || put etc/localechod.toml "$settings"
    if [ -z "$changed" ]; then say 'everything is in place already; nothing changed'; return; fi
    case :$PATH: in
    *:"$bin":*) ;;
    *) say "$bin is not in your PATH: log in again, or put it there" ;;
    esac
    if ! manager_runs; then
        say 'done; your own systemd does not run here (it needs libpam-systemd and a login); without it: localechod --detach'
        return
    fi
    systemctl --user daemon-reload
    if systemctl --user -q is-active $service; then
        say 'done; the running service changes with: systemctl --user restart localechod'
    else
        say 'done; now: systemctl --user start localechod (and with every login: systemctl --user enable localechod)'
    fi
}

uninstall_all() {
    if manager_runs; then
        [ ! -e "$units/$socket" ] || systemctl --user -q disable --now $socket
        [ ! -e "$units/$service" ] || systemctl --user -q disable --now $service
    fi
    drop "$units/$service" "$units/$socket" "$prefix"
    drop_share_files
    unlink_commands
    # A daemon that was started by hand is left running.
    if [ -e "$runtime/control.sock" ]; then say "a localechod still runs, in $runtime"; else drop "$runtime"; fi
    if [ -z "$changed" ]; then say 'not installed; nothing to do'; return; fi
    # Directories that install may have made, if they are empty.
    for directory in "$share/man" "$bin" "$units" "${units%/*}"; do
        rmdir "$directory" 2>/dev/null || :
    done
    if manager_runs; then
        systemctl --user daemon-reload
        systemctl --user reset-failed $service $socket 2>/dev/null || :
    fi
    say "done; ${settings%/*} is kept"
}

[ "$(id -u)" != 0 ] || die "this is for ordinary users; root uses install.sh"
case ${1-} in
install) shift; install_all "$@" ;;
uninstall) uninstall_all ;;
*) die 'see ./dev help' ;;
esac
