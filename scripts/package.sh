#!/usr/bin/env bash
# Builds the Debian package; arguments go to "cargo deb". Installs cargo-deb into the cache if it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
version=3.8.0
tools="${XDG_CACHE_HOME:-$HOME/.cache}/bhavd/tools"
export PATH="$PATH:$tools/bin"
if ! command -v cargo-deb >/dev/null; then
    echo "installing cargo-deb $version into $tools" >&2
    # A target directory of its own: the lock on the project's may be held by whoever runs this.
    CARGO_TARGET_DIR="$tools/build" cargo install cargo-deb --locked --version "$version" --root "$tools" >&2
    rm -rf "$tools/build"
fi
[ "$*" != --install-only ] || exit 0
exec cargo deb --locked "$@"
