# shellcheck shell=sh
# Functions of install.sh and install-user.sh. Both set these directories before they read this file:
#   prefix: the environment; bin: the commands; share: manual pages, and completions of the shells.
# Installed files belong to the user who runs this, and everyone may read them.

commands='localechod localechoctl'
changed=

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# put SOURCE TARGET: copy a file, with our owner and mode 644; do nothing if the target is the same already.
put() {
    if cmp -s "$1" "$2" && [ "$(stat -c %a:%u:%g "$2")" = "644:$(id -u):$(id -g)" ]; then return; fi
    install -D -m 644 "$1" "$2"
    say "$2"
    changed=yes
}

environment() { # environment PYTHON VENV WHEEL...
    python=$1 venv=$2
    shift 2
    built=$(sha256sum "$python" "$@" | sed 's| .*/| |' | sha256sum)
    if [ "$(cat "$prefix/installed" 2>/dev/null)" = "$built" ]; then return; fi
    say "$prefix"
    # A running daemon has its modules in memory already. A failure half-way puts the old environment back.
    rm -rf "$prefix.old"
    [ ! -e "$prefix" ] || mv "$prefix" "$prefix.old"
    trap 'rm -rf "$prefix"; [ ! -e "$prefix.old" ] || mv "$prefix.old" "$prefix"' EXIT
    "$python" -m venv --without-pip "$prefix"
    "$venv/bin/python" -m pip -qq --python "$prefix/bin/python" install --no-index --no-deps "$@"
    # -I: ignore PYTHON* variables, which a caller's environment may have, above all that of root's caller. (If the path is
    # too long or has a space, as a home directory may, the first line is another one, and stays.)
    for name in $commands; do sed -i '1s|/python[0-9.]*$|& -I|' "$prefix/bin/$name"; done
    echo "$built" >"$prefix/installed"
    trap - EXIT
    rm -rf "$prefix.old"
    changed=yes
}

links() {
    for name in $commands; do
        link=$bin/$name
        [ "$(readlink "$link")" != "$prefix/bin/$name" ] || continue
        if [ -e "$link" ]; then die "$link exists and was not installed by this script; please move it away"; fi
        install -d "$bin"
        ln -sfn "$prefix/bin/$name" "$link"
        say "$link"
        changed=yes
    done
}

share_files() {
    for page in man/*; do put "$page" "$share/man/man${page##*.}/${page##*/}"; done
    put packaging/completions/localechoctl "$share/bash-completion/completions/localechoctl"
    put packaging/completions/_localechoctl "$share/zsh/site-functions/_localechoctl"
    put packaging/completions/localechoctl.fish "$share/fish/vendor_completions.d/localechoctl.fish"
}

# Also the directories that install may have made, if they are empty.
drop_share_files() {
    drop "$share"/man/man[158]/localecho* "$share/bash-completion/completions/localechoctl" \
        "$share/zsh/site-functions/_localechoctl" "$share/fish/vendor_completions.d/localechoctl.fish"
    for directory in man/man1 man/man5 man/man8 bash-completion/completions bash-completion \
        zsh/site-functions zsh fish/vendor_completions.d fish; do
        rmdir "$share/$directory" 2>/dev/null || :
    done
}

# drop PATH...: remove the paths that exist, and print each.
drop() {
    for path; do
        [ -e "$path" ] || continue
        rm -rf "$path"
        say "$path removed"
        changed=yes
    done
}

unlink_commands() {
    for name in $commands; do
        link=$bin/$name
        [ "$(readlink "$link")" = "$prefix/bin/$name" ] || continue
        rm "$link"
        say "$link removed"
        changed=yes
    done
}
