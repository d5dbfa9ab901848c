#!/usr/bin/env bash
# From a fresh Debian machine to a card in the vault and out again, through SoftHSM2.
#   softhsm/quickstart.sh          install what is missing, build, walk through, stop
#   softhsm/quickstart.sh --keep   the same, and leave the daemon serving
set -euo pipefail
cd "$(dirname "$0")/.."

keep=no
case "${1:-}" in
  "") ;;
  --keep) keep=yes ;;
  *) echo "usage: softhsm/quickstart.sh [--keep]" >&2; exit 2 ;;
esac

bold='' plain=''
[ ! -t 1 ] || { bold=$'\033[1m' plain=$'\033[0m'; }
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

command -v cargo >/dev/null || { echo "Needed: a Rust toolchain, 1.88 or newer (https://rustup.rs)" >&2; exit 1; }
softhsm/install.sh libsofthsm2 build-essential curl

say "Building (some five minutes the first time)"
cargo build --release --locked
panvault=$(realpath "${CARGO_TARGET_DIR:-target}")/release/panvault

# A short path: a Unix socket's name may have 107 bytes.
dir=$(mktemp -d /tmp/panvault.XXXXXX)
"$panvault" dev --dir "$dir" 2>"$dir/log" &
daemon=$!
stop() {
  kill -TERM "$daemon" 2>/dev/null || true
  wait "$daemon" || { echo "the daemon did not stop cleanly:" >&2; tail -n 20 "$dir/log" >&2; exit 1; }
  rm -rf "$dir"
}
trap stop EXIT

say "Starting panvault dev --dir $dir (token, keys and a test merchant are made there)"
for _ in $(seq 300); do
  [ -e "$dir/dev.json" ] && break
  kill -0 "$daemon" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done
[ -e "$dir/dev.json" ] || { echo "the daemon did not come up in 30 s:" >&2; cat "$dir/log" >&2; exit 1; }
member() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$2" | head -n 1; }
key=$(member api_key "$dir/dev.json")
metrics=$(member metrics "$dir/dev.json")

# The answers of `call` are kept in files too; what it sends goes straight to the screen.
exec 3>&1
call() {
  local method=$1 path=$2
  shift 2
  echo "\$ curl --unix-socket $dir/api.sock -X $method http://vault$path" >&3
  curl -sS --fail-with-body --unix-socket "$dir/api.sock" -X "$method" "http://vault$path" \
    -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"
  echo
}

say "Tokenize a test card"
call POST /v1/tokens \
  -d '{"card":{"number":"4111 1111 1111 1111","expiry":{"month":12,"year":2030},"holder":"JANE DOE"}}' | tee "$dir/view"
token=$(member token "$dir/view")

say "The masked view"
call GET "/v1/tokens/$token"

say "Reveal: the data key is unwrapped and used inside the HSM"
call POST "/v1/tokens/$token/reveal" -d '{}' | tee "$dir/card"
grep -q '"4111111111111111"' "$dir/card" || { echo "the card did not come back" >&2; exit 1; }

say "Delete: the answer is a receipt signed by the HSM"
call DELETE "/v1/tokens/$token" | tee "$dir/receipt.json"
"$panvault" receipt verify --dir "$dir" "$dir/receipt.json"

say "Some metrics"
curl -sS "http://$metrics/metrics" |
  grep -E '^panvault_(tokens|hsm_workers|operations_total|store_commits_total|audit_records_total)'

say "The audit trail"
"$panvault" audit verify --dir "$dir"

trap - EXIT
if [ "$keep" = yes ]; then
  disown "$daemon"
  say "Left serving (process $daemon). Its directory: $dir"
  echo "Stop it with: kill $daemon"
else
  say "Stopping"
  stop
  echo "done"
fi
