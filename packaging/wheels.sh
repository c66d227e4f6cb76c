#!/bin/sh
# Builds the sdist and the wheels of a release: a compiled one for CPython 3.11 and later, and one in Python alone for anything
# else. pip chooses. No network is used.
#   wheels.sh VENV TARGET     VENV: has requirements/dev.lock; TARGET: a directory
set -eu
umask 022
cd "$(dirname -- "$0")/.."
PATH=$1/bin:$PATH
target=$2

compiled=$(mktemp -d)
trap 'rm -rf "$compiled"' EXIT
LOCALECHOD_PURE_PYTHON=1 python -m hatchling build -d "$target"
LOCALECHOD_PURE_PYTHON='' python -m hatchling build -t wheel -d "$compiled"
# auditwheel names the oldest C library that has the symbols (manylinux); it fails if the wheel has no compiled part.
auditwheel repair -w "$target" "$compiled"/*.whl
# A wheel with a symbol that is not in the limited API of the Python in its name would fail on other versions.
abi3audit --strict --summary "$target"/*-abi3-*.whl
