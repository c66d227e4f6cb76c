#!/bin/sh
# `./dev release`: all that a release needs, done to a copy of the last commit. Only when all of it has succeeded does this
# checkout get a commit (the changelog) and a tag. Nothing is pushed.
#   release.sh PYTHON VENV [--dry-run] [--without-tests] [--without-debian]
set -eu
umask 022
cd "$(dirname -- "$0")/.."
root=$(pwd -P)

say() { printf 'release: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

python=$1 venv=$2
shift 2
dry='' left_out=''
for option; do
    case $option in
    --dry-run) dry=yes ;;
    --without-tests | --without-debian) left_out="$left_out $option" ;;
    *) say "$option is none of --dry-run, --without-tests, --without-debian"; exit 2 ;;
    esac
done
without() { case "$left_out " in *" --without-$1 "*) return 0 ;; *) return 1 ;; esac }

# ---- whether there can be one ---------------------------------------------------------------------

[ -z "$left_out" ] || [ -n "$dry" ] || die "only a --dry-run may go$left_out"
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' localechod/__init__.py)
tag=v$version
if git rev-parse -q --verify "refs/tags/$tag" >/dev/null; then
    die "$tag is there already; the next version goes into localechod/__init__.py"
fi
changed=$(git status --porcelain)
[ -z "$changed" ] || die "what is released is the last commit; this is not in it:
$changed"
[ -n "$(git ls-files 'changes/*.*.md')" ] || die 'there is nothing to release: changes/ has no fragment'
unable=$("$venv/bin/python" -c 'from tests.release.bookworm import missing; print(missing())')
without debian || [ -z "$unable" ] || die "no bare Debian can be booted to try it on: $unable"

# ---- the changelog, the commit, the artifacts -----------------------------------------------------

scratch=$(mktemp -d /tmp/localechod-release.XXXXXX)
tree=$scratch/tree
trap 'git worktree remove --force "$tree" 2>/dev/null || :; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
git worktree add -q --detach "$tree"

say "$version: the changelog"
"$python" -m venv "$scratch/tools"
"$scratch/tools/bin/pip" -qq install towncrier==26.9.0
# No hooks: what they would check is checked below.
(cd "$tree" && "$scratch/tools/bin/towncrier" build --yes --version "$version" >/dev/null && git commit -nqam "Release $version")
git -C "$tree" show --format= -- CHANGELOG.md | sed -n '/^+++/d; s/^+//p'
commit=$(git -C "$tree" rev-parse HEAD)

say 'the artifacts'
date=$(git -C "$tree" log -1 --format=%ct)
# The compiled part would tie the wheel to one Python and one machine; who wants it builds from the sdist.
(cd "$tree" && SOURCE_DATE_EPOCH=$date LOCALECHOD_PURE_PYTHON=1 "$venv/bin/python" -m hatchling build -d "$scratch/dist")
package=$("$tree/dev" deb)
cp "$tree/$package" "$scratch/dist"

# ---- whether all that is any good -----------------------------------------------------------------

./dev check
without tests || ./dev test
say 'what was built'
cd "$tree"
if without debian; then set -- tests/release/test_artifacts.py; else set -- tests/release; fi
LOCALECHOD_DIST=$scratch/dist "$venv/bin/python" -m pytest -q "$@"
cd "$root"

# ---- done -----------------------------------------------------------------------------------------

mkdir -p dist
rm -f dist/localechod[-_]*
cp "$scratch"/dist/* dist
(cd dist && sha256sum localechod[-_]*) | tee dist/SHA256SUMS
[ -z "$left_out" ] || say "not tried:$(echo "$left_out" | sed 's/ --without-/ /g')"
if [ -n "$dry" ]; then
    say "dist/ has it; this would be committed as \"Release $version\" and tagged $tag; nothing was"
    exit 0
fi
git merge -q --ff-only "$commit"
git tag -a -m "localechod $version" "$tag"
say "dist/ has it, $tag is tagged; to publish: git push --follow-tags"
