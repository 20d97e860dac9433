#!/bin/sh
# Writes the generated sources of SyscallTesting: Errno's names from Linux's own headers, and the forms of `syscall` that
# take `&variable`. Run it in the repository's folder; the output is committed.
set -eu
headers=${1:-/usr/include/asm-generic}
target=Sources/SyscallTesting
for file in errno-base.h errno.h; do
    # The exit status of awk within the group below is not the script's.
    if [ ! -r "$headers/$file" ]; then
        echo "$0: cannot read $headers/$file" >&2
        exit 2
    fi
done

{
    cat <<'END'
// SPDX-License-Identifier: Apache-2.0
// Made by Packaging/generate-syscall-testing.sh from Linux's asm-generic/errno-base.h and errno.h; not edited by hand.

extension Errno {
END
    # `#define EPERM 1 /* Operation not permitted */`, and names that are defined as another one. A comment may end on a
    # later line.
    awk '
        /^#define[ \t]+E[A-Z0-9]+[ \t]+/ {
            name = $2; value = $3
            comment = $0
            if (sub(/.*\/\*[ \t]*/, "", comment)) sub(/[ \t]*\*\/.*/, "", comment); else comment = ""
            if (value ~ /^E/) {
                printf "    /// Another name of `%s`.\n    public static let %s = %s\n", value, name, value
            } else {
                if (comment == "") comment = "Error " value
                printf "    /// %s.\n    public static let %s = Errno(%s)\n", comment, name, value
            }
        }' "$headers/errno-base.h" "$headers/errno.h"
    echo '}'
} > $target/Errno+Names.swift

{
    cat <<'END'
// SPDX-License-Identifier: Apache-2.0
// Made by Packaging/generate-syscall-testing.sh; not edited by hand.
//
// Swift takes `&variable` only for a parameter that is a pointer, so that there is a function for each choice of arguments
// that are. What has no `&` goes to the one in Syscall.swift.
END
    awk 'BEGIN {
        split("a b c d e f", names, " ")
        for (count = 1; count <= 6; count++)
            for (bits = 1; bits < 2 ^ count; bits++) {
                parameters = ""; arguments = ""
                for (i = 1; i <= count; i++) {
                    isPointer = int(bits / 2 ^ (i - 1)) % 2
                    parameters = parameters ", _ " names[i] ": " (isPointer ? "UnsafeMutableRawPointer" : "any SyscallArgument")
                    arguments = arguments (i > 1 ? ", " : "") names[i]
                }
                print ""
                print "/// Makes a raw system call of which some arguments are written `&variable`."
                print "@_disfavoredOverload"
                print "@discardableResult"
                print "public func syscall(_ number: Int32" parameters ") throws(Errno) -> Int {"
                print "    try call(number, [" arguments "])"
                print "}"
            }
    }'
} > $target/Syscall+Pointers.swift
swift format --in-place $target/Errno+Names.swift $target/Syscall+Pointers.swift
