#!/bin/sh
# Builds the Go peer, unless it is built already, and prints the path of the binary.
# Needs Go 1.18 or newer (Debian: apt-get install golang-go) and, the first time, the Go module proxy.
set -eu
here=$(cd "$(dirname "$0")/go" && pwd)
cache=${MICRO_CACHE:-$HOME/.cache/micro-rs}/interop
if ! command -v go >/dev/null 2>&1; then
    echo "interop/build.sh: go is not installed; run: apt-get install golang-go" >&2
    exit 1
fi
key=$(cd "$here" && { go version; cat go.mod go.sum $(find . -name '*.go' | LC_ALL=C sort); } | sha256sum | cut -c1-16)
binary=$cache/go-micro-v2-peer-$key
mkdir -p "$cache"
# Two test runs at once build it once; a half-written binary is never seen under its name.
exec 9>"$cache/.lock"
flock 9
if [ ! -x "$binary" ]; then
    (cd "$here" && GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false" CGO_ENABLED=0 go build -o "$binary.$$" . >&2)
    mv "$binary.$$" "$binary"
fi
echo "$binary"
