#!/usr/bin/env bash
# Installs the Debian packages named that are missing; where it may not, says what it needs.
set -euo pipefail
missing=()
for package in "$@"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "Needed and not installed: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
  exit 1
fi
# nginx and Prometheus would start as services, which the tests do not use: they start their own. An operator's own word on
# that, /usr/sbin/policy-rc.d, goes before.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nfor word; do [ "$word" != start ] || exit 101; done\n' >"$policy"
  chmod 0755 "$policy"
fi
echo "installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
