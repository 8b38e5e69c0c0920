#!/bin/sh
# Makes a Python environment with clients that are not ours, for the tests that let them talk to us: Angel One's official
# client to the simulator, a varlink client to the control socket.
#
#   scripts/python-env.sh [DIRECTORY]
#
# Prints the path of the environment's python. The default directory lies under cargo's target directory. An environment
# that is complete is used again. Ends with 1, saying why on stderr, if there is no python3, venv, pip or index.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
directory=${1:-${CARGO_TARGET_DIR:-$here/target}/python-env}
requirements=$here/tests/foreign_clients/requirements.txt
complete=$directory/complete

if ! command -v python3 >/dev/null 2>&1; then
    echo "python-env: there is no python3" >&2
    exit 1
fi
if ! cmp -s "$requirements" "$complete"; then
    rm -rf "$directory"
    mkdir -p "$directory"
    if ! python3 -m venv "$directory" >"$directory.log" 2>&1; then
        echo "python-env: python3 -m venv failed; see $directory.log" >&2
        exit 1
    fi
    if ! "$directory/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$requirements" >>"$directory.log" 2>&1; then
        echo "python-env: pip could not install the clients; see $directory.log" >&2
        exit 1
    fi
    cp "$requirements" "$complete"
fi
echo "$directory/bin/python"
