#!/usr/bin/env bash
# Makes the documentation of SyscallTesting: make-docs.sh OUTPUT. A link to a symbol that does not exist is an error.
# swiftc and docc of the Swift toolchain are all that this takes: the module stands alone.
set -euo pipefail
cd "$(dirname "$0")/.."
output=$1
work=.build/docs
rm -rf "$work"
mkdir -p "$work/symbols" "$work/modules" "$(dirname "$output")"
docc=$(dirname "$(readlink -f "$(command -v swiftc)")")/docc
[ -x "$docc" ] || { echo "the Swift toolchain has no docc: $docc is missing" >&2; exit 1; }
echo "module CSyscall { header \"$PWD/Sources/CSyscall/include/CSyscall.h\" export * }" >"$work/modules/module.modulemap"
swiftc -emit-module -emit-module-path "$work/SyscallTesting.swiftmodule" -module-name SyscallTesting -swift-version 6 \
    -I "$work/modules" -emit-symbol-graph -emit-symbol-graph-dir "$work/symbols" Sources/SyscallTesting/*.swift
"$docc" convert Sources/SyscallTesting/SyscallTesting.docc --additional-symbol-graph-dir "$work/symbols" \
    --fallback-display-name SyscallTesting --fallback-bundle-identifier kbuild.SyscallTesting \
    --warnings-as-errors --output-path "$output"
echo "$output"
