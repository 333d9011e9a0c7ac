#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The steps of the image, in a Debian 12 root, as root:
#
#   build.sh packages       install what compiling takes
#   build.sh compile        the preset `release`, in build/release
#   build.sh root FOLDER    the file system of the image: the program, its libraries, certificates of public CAs, users
#
# Two more steps may save time: a ccache folder in $CCACHE_DIR, and build/release from an earlier run.
set -euo pipefail

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$SOURCE/build/release
PYTHON_ENVIRONMENT=$SOURCE/build/python

packages() {
  local list
  mapfile -t list < <(grep -oE '^[^# ]+' "$SOURCE/tools/build-packages.txt")
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install -y --no-install-recommends ca-certificates "${list[@]}"
}

compile() {
  # The description of Envoy's API is in a Python package; the pins are those of the tests.
  [[ -x $PYTHON_ENVIRONMENT/bin/python3 ]] || python3 -m venv "$PYTHON_ENVIRONMENT"
  grep -E '^(xds-protos|grpcio|protobuf|typing_extensions)==' "$SOURCE/tests/requirements.txt" |
    "$PYTHON_ENVIRONMENT/bin/python3" -m pip install --disable-pip-version-check --quiet -r /dev/stdin
  cd "$SOURCE"
  cmake --preset release -DCONTOUR_PYTHON="$PYTHON_ENVIRONMENT/bin/python3" -DBUILD_TESTING=OFF
  ninja -C "$BUILD" contour contour_documents
}

root() {
  local folder=$1 library
  rm -rf -- "$folder"
  mkdir -p "$folder"/{bin,etc/ssl/certs,lib64,tmp,usr/lib/x86_64-linux-gnu}
  install -m 755 "$BUILD/bin/contour" "$folder/bin/contour"
  strip --strip-debug "$folder/bin/contour"
  # As the loader finds them here, so it finds them there: every path that ldd prints, links followed.
  ldd "$BUILD/bin/contour" | grep -oE '/[^ ]+' | sort -u | while read -r library; do
    mkdir -p "$folder$(dirname "$library")"
    cp --dereference "$library" "$folder$library"
  done
  # Users by name (client libraries look the own one up) and host names by /etc/hosts first: glibc opens these two by itself.
  cp --dereference /lib/x86_64-linux-gnu/libnss_{files,dns}.so.2 "$folder/lib/x86_64-linux-gnu/"
  echo 'hosts: files dns' >"$folder/etc/nsswitch.conf"
  printf '%s\n' 'root:x:0:0::/:/nonexistent' 'contour:x:65532:65532::/:/nonexistent' >"$folder/etc/passwd"
  printf '%s\n' 'root:x:0:' 'contour:x:65532:' >"$folder/etc/group"
  cp --dereference /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
  cp --dereference /etc/ssl/openssl.cnf "$folder/etc/ssl/" 2>/dev/null || true
  mkdir -p "$folder/usr/lib/ssl" && ln -s /etc/ssl/certs "$folder/usr/lib/ssl/certs"
  chmod 1777 "$folder/tmp"
  licences "$folder"
}

# Whoever passes the image on passes the licences of its libraries on.
licences() {
  local folder=$1 package
  mkdir -p "$folder/usr/share/doc"
  cp "$SOURCE/LICENSE" "$folder/usr/share/doc/contour-LICENSE"
  {
    find "$folder" -name '*.so*' -printf '/%P\n'
    # What is within the program: archives, and libraries that are headers only.
    grep -oE '/usr/lib/[^ ]*/lib[^ /]*\.a' "$BUILD/build.ninja"
    printf '/usr/include/%s\n' CLI/CLI.hpp nlohmann/json.hpp spdlog/spdlog.h
  } | sort -u | while read -r library; do
    # The merged /usr: dpkg knows a file by one of two names.
    dpkg-query -S "$library" "/usr$library" "$(readlink -f "$library")" 2>/dev/null | cut -d: -f1 || true
  done | sort -u | while read -r package; do
    [[ -f /usr/share/doc/$package/copyright ]] || continue
    cp --dereference "/usr/share/doc/$package/copyright" "$folder/usr/share/doc/$package.copyright"
  done
}

case ${1:-} in
  packages | compile) "$1" ;;
  root) root "${2:?build.sh root FOLDER}" ;;
  *) sed -n '3,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
