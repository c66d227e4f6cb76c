# shellcheck shell=sh
# How install.sh and install-user.sh put things in place. Both set, before they read this:
#   prefix: of the environment; bin: of the commands; manuals: of man1, man5 and man8.
# What was installed belongs to whoever runs this, and is readable for everybody.

commands='localechod localechoctl'
changed=

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# put SOURCE TARGET: a copy, ours and readable for everybody; untouched where it is so already.
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
    # A running daemon has its modules in memory already; a failure half-way puts the old environment back.
    rm -rf "$prefix.old"
    [ ! -e "$prefix" ] || mv "$prefix" "$prefix.old"
    trap 'rm -rf "$prefix"; [ ! -e "$prefix.old" ] || mv "$prefix.old" "$prefix"' EXIT
    "$python" -m venv --without-pip "$prefix"
    "$venv/bin/python" -m pip -qq --python "$prefix/bin/python" install --no-index --no-deps "$@"
    # Nothing is to come from PYTHON* variables, as a caller's environment may have them, root's caller's above all.
    # (Where the path is too long or has a space, as a home may, the first line is another, and stays.)
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
        if [ -e "$link" ]; then die "$link is there and not ours; please move it away"; fi
        install -d "$bin"
        ln -sfn "$prefix/bin/$name" "$link"
        say "$link"
        changed=yes
    done
}

manuals() {
    for page in man/*; do put "$page" "$manuals/man${page##*.}/${page##*/}"; done
}

# drop PATH...: remove what is there, and say so.
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
