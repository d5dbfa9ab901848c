#!/usr/bin/env bash
# Measures this machine in one run and prints the table that stands in README.md.
#   tests/speed.sh          raw token rates, then the daemon at 64 connections and at one, and dialects in turns with it
#   tests/speed.sh --soak   adds one million create+reveal pairs and a store of a million tokens
# The table says which figures miss their aims. Exits 1 when a speed misses by more than a fifth, which is what other users
# of a shared machine can make of it, or when anything else is missed. Needs python3 and SoftHSM2.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked
panvault=$(realpath "${CARGO_TARGET_DIR:-target}")/release/panvault
exec python3 tests/speed.py "$panvault" "$@"
