#!/usr/bin/env bash
# Checks the first lines of the sources, which name the licence, and the width of comments: check-headers.sh [--fix]
#
#   --fix  adds the lines that are missing
set -euo pipefail
cd "$(dirname "$0")/.."
apache='// SPDX-License-Identifier: Apache-2.0'
missing=0
while IFS= read -r -d '' file; do
    line=1
    # SwiftPM reads the version of its tools from the first line of a manifest.
    case $file in */Package.swift) line=2 ;; esac
    if [ "$(sed -n "${line}p" "$file")" = "$apache" ]; then continue; fi
    if [ "${1:-}" = --fix ]; then
        if [ $line = 2 ]; then sed -i "1a$apache" "$file"; else printf '%s\n' "$apache" | cat - "$file" >"$file.new" && mv "$file.new" "$file"; fi
        continue
    fi
    echo "$file:$line: expected: $apache" >&2
    missing=1
done < <(find . \( -name .build -o -name '.build-*' -o -name .git -o -path ./kernel \) -prune \
    -o -type f \( -name '*.swift' -o -name '*.c' -o -name '*.h' -o -name '*.js' \) -print0)
# The kernel's own licence holds for what is compiled into it.
while IFS= read -r -d '' file; do
    if [[ $(head -n 1 "$file") == *'SPDX-License-Identifier: GPL-2.0'* ]]; then continue; fi
    echo "$file:1: expected: // SPDX-License-Identifier: GPL-2.0" >&2
    missing=1
done < <(find kernel -type f \( -name '*.c' -o -name '*.h' \) -print0)
if [ $missing != 0 ]; then
    echo "next: Packaging/check-headers.sh --fix, or the line by hand below kernel/" >&2
    exit 1
fi
# swift format leaves comments as they are.
if git ls-files -z '*.swift' | grep -zv Syscall+Pointers.swift | LC_ALL=C.UTF-8 xargs -0 grep -nE '^ *//' | LC_ALL=C.UTF-8 grep -E '^[^:]*:[0-9]+:.{121}' >&2; then
    echo "next: wrap these comments at 120 columns" >&2
    exit 1
fi
