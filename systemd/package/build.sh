#!/usr/bin/env bash
# Makes the Debian and the RPM package of this checkout, and prints where they are.
#   systemd/package/build.sh
# cargo-deb and cargo-generate-rpm are built into the target directory where they are not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
made=$target/package

tool() { # NAME VERSION
  command -v "$1" >/dev/null || [ -x "$target/tools/bin/$1" ] ||
    cargo install --quiet --locked --root "$target/tools" "$1@$2" >&2
}
tool cargo-deb 3.8.0
tool cargo-generate-rpm 0.21.1
PATH=$target/tools/bin:$PATH

cargo build --release --locked >&2
panvault=$made/panvault
rm -rf "$made"
mkdir -p "$made/man" "$made/completions"
# line tables are for profilers; a defect's place is told without them
strip --strip-debug -o "$panvault" "$target/release/panvault"
"$panvault" man --dir "$made/man"
gzip -9n "$made"/man/*.8
for shell in bash zsh fish; do
  "$panvault" complete $shell >"$made/completions/panvault.$shell"
done
chmod 0644 "$made"/completions/*
# the manifest names files by their place in `target`
[ "$target" = "$PWD/target" ] || { mkdir -p target; ln -sfn "$made" target/package; }
cargo deb --quiet --locked --no-build --output "$made/panvault.deb" >&2
cargo generate-rpm --payload-compress zstd --output "$made/panvault.rpm" --target-dir "$target" >&2
printf '%s\n' "$made/panvault.deb" "$made/panvault.rpm"
