#!/bin/sh
# Makes an OCI image of the Debian package and what it depends on: no shell, no package manager. It fetches from Debian's
# mirrors alone, and needs mmdebstrap, and root, or uidmap for a user namespace.
#   build.sh DEB TARGET     TARGET: the archive, for `podman load`, `docker load` or `skopeo copy oci-archive:TARGET ...`
# The package has to be one for this Debian. The same packages give the same bytes: SOURCE_DATE_EPOCH, else the package's time.
set -eu
umask 022
die() { printf 'oci: %s\n' "$*" >&2; exit 1; }
[ $# = 2 ] && [ -f "$1" ] || die "usage: $0 DEB TARGET"
[ "$(id -u)" = 0 ] || exec unshare --map-root-user --map-auto "$0" "$@"
deb=$(realpath "$1") target=$(realpath "$2")
uid=65532 # as other images without root have it; kubelet compares the number (runAsNonRoot)
command -v mmdebstrap >/dev/null || die 'mmdebstrap is not installed: apt-get install mmdebstrap'

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
field() { dpkg-deb -f "$deb" "$1"; }
# shellcheck source=/dev/null
suite=$(. /etc/os-release; echo "$VERSION_CODENAME")
architecture=$(field Architecture)
version=$(field Version)
packed=$(dpkg-deb --fsys-tarfile "$deb" | TZ=UTC tar -tv --full-time | awk 'NR == 1 {print $4, $5}')
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(date -u -d "$packed" +%s)}"

# ---- the root -------------------------------------------------------------------------------------

# Names of Depends, without versions. An entry with alternatives is for maintainer scripts, which do not run here.
needed=$(field Depends | tr ',' '\n' | sed '/|/d; s/(.*)//; s/ //g' | sort -u | paste -sd,)
mmdebstrap --quiet --variant=extract --skip=cleanup/apt/cache,chroot/mount,output/dev --include="base-files,$needed" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "$suite" "$root" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; die 'mmdebstrap failed'; }
dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
# Which packages are in it, where scanners look for it in an image without dpkg.
mkdir "$scratch/status.d"
for file in "$root"/var/cache/apt/archives/*.deb "$deb"; do
    dpkg-deb -f "$file" >"$scratch/status.d/$(dpkg-deb -f "$file" Package)"
done
# What remains: Python, its libraries, the two commands, licenses. /etc has files of this machine besides, as resolv.conf.
cd "$root"
find usr/share/doc -not -type d -not -name copyright -delete
find usr/share -mindepth 1 -maxdepth 1 -not -name doc -not -name localechod -not -name python3 -exec rm -r {} +
find etc -mindepth 1 -maxdepth 1 -not -name localechod -not -name os-release -exec rm -r {} +
find usr/bin usr/sbin -not -type d -not -name 'python3*' -not -name 'localecho*' -delete
rm -rf boot dev/* home root usr/lib/*/gconv usr/lib/systemd var/*
mkdir -p var/lib/dpkg
mv "$scratch/status.d" var/lib/dpkg
printf '%s\n' 'root:x:0:0::/:/' "localecho:x:$uid:$uid::/:/" >etc/passwd
printf '%s\n' 'root:x:0:' "localecho:x:$uid:" >etc/group
# The root is read-only, so that Python cannot keep what it compiles at a start.
chroot . /usr/bin/python3 -IS -m compileall -q --invalidation-mode unchecked-hash usr/lib
install -d -o $uid -g $uid run/localechod

# ---- the image ------------------------------------------------------------------------------------

cd "$scratch"
pack() { tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner --format=gnu "$@"; }
hash() { sha256sum "$1" | cut -d ' ' -f 1; }
blobs=image/blobs/sha256
mkdir -p $blobs
# blob FILE: move it to the name that its content has, and print its descriptor's fields.
blob() {
    digest=$(hash "$1")
    size=$(stat -c %s "$1")
    mv "$1" "$blobs/$digest"
    printf '"digest": "sha256:%s", "size": %d' "$digest" "$size"
}
pack -C root -cf layer.tar .
diff=$(hash layer.tar)
gzip -n9 layer.tar
layer=$(blob layer.tar.gz)
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
# Healthcheck is Docker's and Podman's: the OCI has none. Of the volume they make an empty one where nothing is mounted.
cat >config <<EOF
{"architecture": "$architecture", "os": "linux", "created": "$created", "config": {
  "User": "$uid:$uid",
  "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "LOCALECHOD_CONTROL=/run/localechod/control.sock"],
  "Entrypoint": ["localechod", "--config", "/etc/localechod/localechod.toml", "--runtime-dir", "/run/localechod"],
  "Volumes": {"/run/localechod": {}},
  "WorkingDir": "/",
  "StopSignal": "SIGTERM",
  "Healthcheck": {"Test": ["CMD", "localechoctl", "wait", "--timeout", "2"], "Interval": 10000000000, "Timeout": 5000000000},
  "Labels": {"org.opencontainers.image.title": "localechod", "org.opencontainers.image.version": "$version", "org.opencontainers.image.licenses": "MIT"}},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$diff"]},
 "history": [{"created": "$created", "created_by": "packaging/oci/build.sh"}]}
EOF
config=$(blob config)
cat >manifest <<EOF
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
 "config": {"mediaType": "application/vnd.oci.image.config.v1+json", $config},
 "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", $layer}]}
EOF
cat >image/index.json <<EOF
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
 "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", $(blob manifest),
  "annotations": {"org.opencontainers.image.ref.name": "localhost/localechod:$version"}}]}
EOF
echo '{"imageLayoutVersion": "1.0.0"}' >image/oci-layout
# The same blobs as Docker's older format, which has the healthcheck for Podman and the name for both.
file() { echo "$1" | sed 's|.*sha256:\([0-9a-f]*\).*|blobs/sha256/\1|'; }
cat >image/manifest.json <<EOF
[{"Config": "$(file "$config")", "RepoTags": ["localhost/localechod:$version"], "Layers": ["$(file "$layer")"]}]
EOF
pack --owner=0 --group=0 -C image -cf "$target" blobs index.json manifest.json oci-layout
