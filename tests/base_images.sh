#!/usr/bin/env bash
# Build stubs of the two base images of the Dockerfile from Debian packages, for machines
# without access to an image registry. Usage: base_images.sh BUILDER RUNTIME INDEX, with the
# names of the images and the URL of the package index that the builder installs from.
set -euo pipefail

builder=$1 runtime=$2 index=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt expands the format, not the shell.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian/\?$' || true)
trust=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}

packages() { # VARIANT PACKAGES
    local lean=(--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*')
    mmdebstrap --quiet "${lean[@]}" --variant="$1" --include="$2" trixie - ${mirror:+"$mirror"}
}

commit() { # NAME CONFIGURATION
    local name=$1
    shift
    buildah config "$@" "$container"
    buildah commit --quiet --rm "$container" "$name" >/dev/null
}

# As in the official Python image, the interpreter and pip on the PATH are in /usr/local.
packages minbase python3-venv,ca-certificates >"$work/builder.tar"
container=$(buildah from scratch)
buildah add --quiet "$container" "$work/builder.tar" / >/dev/null
buildah run --isolation chroot "$container" -- python3 -m venv /usr/local
root=$(buildah mount "$container")
cp "$trust" "$root/etc/ssl/certs/ca-certificates.crt"
printf '[global]\nindex-url = %s\ncert = /etc/ssl/certs/ca-certificates.crt\n' "$index" >"$root/etc/pip.conf"
install -D /dev/stdin "$root/etc/uv/uv.toml" <<<"index-url = \"$index\""
commit "$builder" --env PATH=/usr/local/bin:/usr/bin:/bin \
    --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

# As in the distroless image: the interpreter, its libraries, and no other programs.
packages extract base-files,netbase,tzdata,python3-minimal,libpython3-stdlib,libstdc++6 >"$work/runtime.tar"
container=$(buildah from scratch)
buildah add --quiet "$container" "$work/runtime.tar" / >/dev/null
root=$(buildah mount "$container")
find "$root/usr/bin" "$root/usr/sbin" ! -type d ! -name 'python3*' -delete
ln -s python3 "$root/usr/bin/python"
install -D "$trust" "$root/etc/ssl/certs/ca-certificates.crt"
commit "$runtime" --env PATH=/usr/bin --user 65532 --entrypoint '["/usr/bin/python3"]'
