#!/bin/sh
# What `./dev install --user` and `./dev uninstall --user` do once all is built: a service of one's own, without root.
#   install-user.sh install PYTHON VENV WHEEL...     as install.sh
#   install-user.sh uninstall
set -eu
umask 022
cd "$(dirname -- "$0")/.."

service=localechod.service
socket=localechod.socket
# Fixed places below the home directory, and not those of XDG_*_HOME: this shell may have other ones than the manager.
prefix=$HOME/.local/share/localechod
bin=$HOME/.local/bin
units=$HOME/.config/systemd/user
settings=$HOME/.config/localechod/localechod.toml
manuals=$HOME/.local/share/man

# shellcheck source=packaging/placing.sh
. packaging/placing.sh

# A shell by su has no XDG_RUNTIME_DIR, or another user's; the manager listens below this one all the same.
XDG_RUNTIME_DIR=/run/user/$(id -u)
export XDG_RUNTIME_DIR
runtime=$XDG_RUNTIME_DIR/localechod
manager_runs() { [ -S "$XDG_RUNTIME_DIR/systemd/private" ]; }

install_all() {
    links
    environment "$@"
    put packaging/systemd/user/$service "$units/$service"
    put packaging/systemd/user/$socket "$units/$socket"
    manuals
    [ -e "$settings" ] || put etc/localechod.toml "$settings"
    if [ -z "$changed" ]; then say 'everything is in place already; nothing changed'; return; fi
    case :$PATH: in
    *:"$bin":*) ;;
    *) say "$bin is not in your PATH: log in again, or put it there" ;;
    esac
    if ! manager_runs; then
        say 'done; no systemd runs for you here (that takes libpam-systemd and a login); by hand: localechod --detach'
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
    drop "$units/$service" "$units/$socket" "$manuals"/man[158]/localecho* "$prefix"
    unlink_commands
    # One that was started by hand is not ours to end.
    if [ -e "$runtime/control.sock" ]; then say "a localechod runs on, in $runtime"; else drop "$runtime"; fi
    if [ -z "$changed" ]; then say 'not installed; nothing to do'; return; fi
    # The directories that install made, where nobody else has put something into them.
    for directory in "$manuals"/man[158] "$manuals" "$bin" "$units" "${units%/*}"; do
        rmdir "$directory" 2>/dev/null || :
    done
    if manager_runs; then
        systemctl --user daemon-reload
        systemctl --user reset-failed $service $socket 2>/dev/null || :
    fi
    say "done; ${settings%/*} is kept"
}

[ "$(id -u)" != 0 ] || die "this is for ordinary users; root's is install.sh"
case ${1-} in
install) shift; install_all "$@" ;;
uninstall) uninstall_all ;;
*) die 'see ./dev help' ;;
esac
