#!/bin/sh
# The part of `./dev deb` after everything has been fetched: lays out a source tree and builds the package from it, without
# root and without the network. Prints the path of the package.
#   deb.sh PLACE VENV WHEELS OWN_WHEEL     PLACE: a directory of its own, made anew; VENV: to ask localechoctl
set -eu
umask 022
cd "$(dirname -- "$0")/.."
place=$1 venv=$2 wheels=$3 own=$4

die() { printf 'deb: %s\n' "$*" >&2; exit 1; }

# As Debian orders them: 1.0~rc1 comes before 1.0.
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' localechod/__init__.py | sed 's/\.\{0,1\}\(a\|b\|rc\|dev\)\([0-9]\)/~\1\2/')
[ -n "$version" ] || die 'there is no version in localechod/__init__.py'

# One time for everything that has one, so that the same source gives the same bytes: the last commit's; of a source tree
# without commits, when its changelog was written.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

# libraries: put the wheels that the package brings along into its tree.
libraries() {
    sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' requirements/runtime.lock | while read -r name; do
        how=$(sed -n "s/^$name  *\([a-z]*\).*/\1/p" packaging/debian/libraries)
        case $how in
        bundled)
            file=$(echo "$name" | tr - _)
            grep -q "^Files: wheels/$file-" packaging/debian/copyright || die "$name has no licence in packaging/debian/copyright"
            cp "$wheels/$file"-*.whl "$tree/wheels" ;;
        debian | unused) ;;
        *) die "$name is in requirements/runtime.lock and not in packaging/debian/libraries" ;;
        esac
    done
}

# What has changed is in CHANGELOG.md, which the package has as changelog.gz.
changelog() {
    cat <<EOF
localechod ($version) unstable; urgency=medium

  * As its authors publish it; what has changed is in changelog.gz.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(LC_ALL=C date -uR -d "@$SOURCE_DATE_EPOCH")
EOF
}

completions() {
    for shell in bash zsh fish; do
        "$venv/bin/python" -c "from typer.completion import get_completion_script
print(get_completion_script(prog_name='localechoctl', complete_var='_LOCALECHOCTL_COMPLETE', shell='$shell'))" \
            >"$tree/completions/$shell"
    done
    mv "$tree/completions/bash" "$tree/completions/localechoctl"
    mv "$tree/completions/fish" "$tree/completions/localechoctl.fish"
    # zsh reads the file when somebody first presses Tab, and the script only gets ready for the next time.
    # shellcheck disable=SC2016 # zsh's variables
    { cat "$tree/completions/zsh"; echo '[[ $zsh_eval_context[-1] != loadautofunc ]] || _localechoctl_completion "$@"'; } \
        >"$tree/completions/_localechoctl"
    rm "$tree/completions/zsh"
}

[ "$("$venv/bin/python" -c 'import sys; print(sys.version_info[:2])')" = "$(/usr/bin/python3 -c 'import sys; print(sys.version_info[:2])')" ] ||
    die "$venv has another Python than /usr/bin/python3, and the package would be for that one"
# A compiler that is missing or fails costs only speed, elsewhere: here it would also make another package of the same source.
case $own in *-none-any.whl) die "$own has no compiled part" ;; esac
rm -rf "$place"
tree=$place/localechod-$version
mkdir -p "$tree/wheels" "$tree/completions"
cp -R packaging/debian packaging/systemd etc man CHANGELOG.md "$tree"
cp "$own" "$tree/wheels"
libraries
completions
changelog >"$tree/debian/changelog"
log=$place/build.log
# Not looked for are build dependencies: all is compiled by now, so a compiler (build-essential) is none; ./dev sees to debhelper.
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$log" 2>&1 || { cat "$log" >&2; die 'dpkg-buildpackage failed'; }
echo "$place/localechod_${version}_$(dpkg --print-architecture).deb"
