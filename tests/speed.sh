#!/usr/bin/env bash
# Measures this machine in one run and prints the table that stands in README.md.
#   tests/speed.sh          raw token rates, then the daemon at 64 connections and at one, and dialects in turns with it
#   tests/speed.sh --soak   adds one million create+reveal pairs and a store of a million tokens
# Exits 1 when a figure misses its aim. Needs python3 and SoftHSM2.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked
panvault=$(realpath "${CARGO_TARGET_DIR:-target}")/release/panvault
exec python3 tests/speed.py "$panvault" "$@"
