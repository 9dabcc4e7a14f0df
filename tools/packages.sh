# SPDX-License-Identifier: MIT
# Sourced by the scripts beside it. Debian packages: what is missing is installed, the rest is left alone.

readonly build_packages=(g++ cmake ninja-build pkg-config libfuse3-dev libnghttp2-dev libssl-dev libsodium-dev
  libzstd-dev liblz4-dev libtbb-dev libsimdjson-dev libspdlog-dev libfmt-dev)
readonly run_packages=(fuse3 restic rclone)

say() { printf '==> %s\n' "$*"; }

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "this needs root, and there is no sudo: $*"
  fi
}

# install_packages PACKAGE...
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}
