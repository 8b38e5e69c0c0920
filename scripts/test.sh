#!/usr/bin/env bash
# Runs every check of the project. Installs what it needs from Debian where it may; ends with an error otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

# The servers that tests start on private ports, Python for clients that are not ours, and what builds and boots
# a Debian with the package in it.
missing=()
[ -x "$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)" ] || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v dbus-daemon >/dev/null && command -v dbus-send >/dev/null || missing+=(dbus)
command -v cc >/dev/null || missing+=(build-essential)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v make >/dev/null || missing+=(make)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
if [ ${#missing[@]} -gt 0 ]; then
    step "installing ${missing[*]}"
    if [ "$(id -u)" -eq 0 ]; then sudo=(); else sudo=(sudo); fi
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

step "cargo fmt"
cargo fmt --check

step "cargo clippy"
cargo clippy --all-targets --locked -- -D warnings

if command -v cargo-deny >/dev/null; then
    step "cargo deny"
    cargo deny --offline check bans licenses sources
else
    step "cargo deny: skipped, cargo-deny is not installed (cargo install cargo-deny)"
fi

step "cargo-deb, for the package that is tested"
scripts/package.sh --install-only

step "cargo test"
cargo test --locked
