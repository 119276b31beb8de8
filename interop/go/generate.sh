#!/bin/sh
# Writes pb/ anew from ../proto. Needs protoc (Debian: protobuf-compiler), protoc-gen-go v1.31.0 and the protoc-gen-micro
# of github.com/micro/micro/v2 v2.9.1. Never protoc-gen-go-grpc: it wants a newer grpc than go-micro builds with.
set -eu
cd "$(dirname "$0")"
protoc -I ../proto --go_out=pb --go_opt=paths=source_relative --micro_out=pb --micro_opt=paths=source_relative greeter.proto
