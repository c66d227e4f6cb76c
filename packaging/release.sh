#!/bin/sh
# `./dev release`: makes a release from a copy of the last commit. This checkout gets a commit (the changelog) and a tag only
# after every step has succeeded. Nothing is pushed.
#   release.sh VENV [--dry-run] [--without-tests] [--without-debian]
set -eu
umask 022
cd "$(dirname -- "$0")/.."

say() { printf 'release: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

venv=$1
shift
dry='' left_out=''
for option; do
    case $option in
    --dry-run) dry=yes ;;
    --without-tests | --without-debian) left_out="$left_out $option" ;;
    *) say "$option is none of --dry-run, --without-tests, --without-debian"; exit 2 ;;
    esac
done
without() { case "$left_out " in *" --without-$1 "*) return 0 ;; *) return 1 ;; esac }

# ---- preconditions --------------------------------------------------------------------------------

[ -z "$left_out" ] || [ -n "$dry" ] || die "only with --dry-run:$left_out"
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' localechod/__init__.py)
tag=v$version
if git rev-parse -q --verify "refs/tags/$tag" >/dev/null; then
    die "$tag exists already; put the next version into localechod/__init__.py"
fi
changed=$(git status --porcelain)
[ -z "$changed" ] || die "a release is made from the last commit; these changes are not in it:
$changed"
[ -n "$(git ls-files 'changes/*.*.md')" ] || die 'nothing to release: changes/ has no fragment'
unable=$("$venv/bin/python" -c 'from tests.release.bookworm import missing; print(missing())')
without debian || command -v mmdebstrap >/dev/null || die 'mmdebstrap is not installed, which makes the OCI image'
without debian || [ -z "$unable" ] || die "cannot boot a bare Debian to try it on: $unable"

# ---- the changelog, the commit, the artifacts -----------------------------------------------------

scratch=$(mktemp -d /tmp/localechod-release.XXXXXX)
chmod 711 "$scratch" # tests run programs of the copy as other users
tree=$scratch/tree
trap 'git worktree remove --force "$tree" 2>/dev/null || :; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
git worktree add -q --detach "$tree"

say "$version: the changelog"
# No hooks: their checks are made below.
(cd "$tree" && "$venv/bin/towncrier" build --yes --version "$version" >/dev/null && git commit -nqam "Release $version")
git -C "$tree" show --format= -- CHANGELOG.md | sed -n '/^+++/d; s/^+//p'
commit=$(git -C "$tree" rev-parse HEAD)

say 'the artifacts'
date=$(git -C "$tree" log -1 --format=%ct)
export SOURCE_DATE_EPOCH="$date"
"$tree/packaging/wheels.sh" "$venv" "$scratch/dist"
"$venv/bin/python" "$tree/packaging/sbom.py" "$scratch/dist/localechod-$version.cdx.json"
package=$("$tree/dev" deb)
cp "$tree/$package" "$scratch/dist"
without debian || "$tree/packaging/oci/build.sh" "$tree/$package" "$scratch/dist/localechod-$version-$(dpkg --print-architecture).oci.tar"

# ---- checks and tests -----------------------------------------------------------------------------

# In the copy: this checkout may be worked on meanwhile.
"$tree/dev" check
without tests || "$tree/dev" test
say 'testing the artifacts'
if without debian; then set -- tests/release/test_artifacts.py tests/release/test_sbom.py; else set -- tests/release; fi
LOCALECHOD_DIST=$scratch/dist "$tree/dev" test -q --durations=0 --durations-min=60 "$@"

# ---- done -----------------------------------------------------------------------------------------

mkdir -p dist
rm -f dist/localechod[-_]*
cp "$scratch"/dist/* dist
(cd dist && sha256sum localechod[-_]*) | tee dist/SHA256SUMS
(cd dist && stat -c '%n: %s bytes' localechod[-_]*) >&2
[ -z "$left_out" ] || say "not tried:$(echo "$left_out" | sed 's/ --without-/ /g')"
if [ -n "$dry" ]; then
    say "the artifacts are in dist/; without --dry-run there would be a commit \"Release $version\" and a tag $tag"
    exit 0
fi
git merge -q --ff-only "$commit"
git tag -a -m "localechod $version" "$tag"
say "the artifacts are in dist/, $tag is tagged; to publish: git push --follow-tags"
