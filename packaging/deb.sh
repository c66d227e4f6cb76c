#!/bin/sh
# The part of `./dev deb` after everything has been fetched: makes a source tree and builds the package from it, without
# root and without the network. Prints the path of the package.
#   deb.sh PLACE VENV WHEELS OWN_WHEEL     PLACE: a directory that is removed and made again; VENV: the wheels' Python
set -eu
umask 022
cd "$(dirname -- "$0")/.."
place=$1 venv=$2 wheels=$3 own=$4

die() { printf 'deb: %s\n' "$*" >&2; exit 1; }

# In Debian's order 1.0~rc1 comes before 1.0.
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' localechod/__init__.py | sed 's/\.\{0,1\}\(a\|b\|rc\|dev\)\([0-9]\)/~\1\2/')
[ -n "$version" ] || die 'localechod/__init__.py has no version'

# One timestamp for all files, so that the same source gives the same bytes: the last commit's, or in a source tree without
# commits that of the changelog.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

# libraries: copy the wheels that the package bundles into its tree.
libraries() {
    sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' requirements/runtime.lock | while read -r name; do
        how=$(sed -n "s/^$name  *\([a-z]*\).*/\1/p" packaging/debian/libraries)
        case $how in
        bundled)
            file=$(echo "$name" | tr - _)
            grep -q "^Files: wheels/$file-" packaging/debian/copyright || die "$name has no license in packaging/debian/copyright"
            cp "$wheels/$file"-*.whl "$tree/wheels" ;;
        debian | unused) ;;
        *) die "$name is in requirements/runtime.lock and not in packaging/debian/libraries" ;;
        esac
    done
}

# CHANGELOG.md has the changes; the package has it as changelog.gz.
changelog() {
    cat <<EOF
localechod ($version) unstable; urgency=medium

  * Upstream release; changelog.gz has the changes.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(LC_ALL=C date -uR -d "@$SOURCE_DATE_EPOCH")
EOF
}

[ "$("$venv/bin/python" -c 'import sys; print(sys.version_info[:2])')" = "$(/usr/bin/python3 -c 'import sys; print(sys.version_info[:2])')" ] ||
    die "$venv has another Python than /usr/bin/python3, so the package would not fit this system"
# Elsewhere, a missing or failing compiler only costs speed. Here it would make another package from the same source.
case $own in *-none-any.whl) die "$own has no compiled part" ;; esac
rm -rf "$place"
tree=$place/localechod-$version
mkdir -p "$tree/wheels"
cp -R packaging/debian packaging/systemd packaging/completions etc man CHANGELOG.md "$tree"
cp "$own" "$tree/wheels"
libraries
changelog >"$tree/debian/changelog"
log=$place/build.log
# Build dependencies are not checked: everything is compiled by now, so build-essential is not needed; ./dev provides debhelper.
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps) >"$log" 2>&1 || { cat "$log" >&2; die 'dpkg-buildpackage failed'; }
echo "$place/localechod_${version}_$(dpkg --print-architecture).deb"
