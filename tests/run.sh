#!/usr/bin/env bash
# Installs what the tests need and runs all of them.
#   tests/run.sh          the short form
#   tests/run.sh --long   adds the soak, the million-token store and 50 rounds of kill -9
set -euo pipefail
cd "$(dirname "$0")/.."

long=no
case "${1:-}" in
  "") ;;
  --long) long=yes ;;
  *) echo "usage: tests/run.sh [--long]" >&2; exit 2 ;;
esac

command -v cargo >/dev/null || { echo "Needed: a Rust toolchain, 1.88 or newer (https://rustup.rs)" >&2; exit 1; }
for tool in fmt clippy; do
  cargo "$tool" --version >/dev/null 2>&1 ||
    { echo "Needed: cargo $tool (rustup component add rustfmt clippy)" >&2; exit 1; }
done
packages=(libsofthsm2 softhsm2 build-essential chromium chromium-driver curl libfaketime nginx-light openssl prometheus python3 python3-jsonschema
  python3-jwcrypto python3-pip python3-requests python3-yaml rpm systemd)
# to boot the package in a container; PANVAULT_CONTAINER=required fails where that cannot be
[ "$(id -u)" != 0 ] || packages+=(debootstrap systemd-container)
softhsm/install.sh "${packages[@]}"

step() { printf '\n== %s\n' "$*"; }

step "format"
cargo fmt --check
step "clippy"
cargo clippy --locked --all-targets -- -D warnings
step "packages"
mapfile -t made < <(systemd/package/build.sh)
export PANVAULT_DEB=${made[0]} PANVAULT_RPM=${made[1]}
step "tests"
cargo test --locked
if [ "$long" = yes ]; then
  step "long tests"
  PANVAULT_LONG=1 cargo test --locked --release -- --nocapture --test-threads=1
  cargo test --locked --release --test store_load -- --ignored --nocapture --test-threads=1
  step "speed and soak"
  tests/speed.sh --soak
fi
step "all passed (errors that the tests provoke stand in the log above)"
