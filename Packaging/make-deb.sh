#!/usr/bin/env bash
# Makes a Debian package: make-deb.sh OUTPUT "DEPENDS..." "RECOMMENDS..."
set -euo pipefail
cd "$(dirname "$0")/.."
output=$1
read -ra depends <<<"$2"
read -ra recommends <<<"$3"
# Debian has another package kbuild, a framework for makefiles.
name=kbuild-cli
root=.build/deb/root
rm -rf .build/deb
mkdir -p "$root/DEBIAN" .build/deb/debian
Packaging/stage.sh install "$root" /usr "/usr/share/doc/$name" /usr/share/zsh/vendor-completions

# The packages of the executable's libraries, with their least versions.
printf 'Source: %s\n\nPackage: %s\nArchitecture: any\nDescription: x\n' "$name" "$name" >.build/deb/debian/control
libraries=$(cd .build/deb && dpkg-shlibdeps -O -e root/usr/bin/kbuild 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$libraries" ] || { echo "dpkg-shlibdeps finds no library of $root/usr/bin/kbuild" >&2; exit 1; }
# The process that makes images loads libguestfs at run time.
libraries="$libraries, libguestfs0"

join() { local IFS=,; echo "${*// /}" | sed 's/,/, /g'; }
cat >"$root/DEBIAN/control" <<CONTROL
Package: $name
Version: $("$root/usr/bin/kbuild" --version)
Architecture: $(dpkg --print-architecture)
Section: devel
Priority: optional
Maintainer: ${MAINTAINER:-kbuild <kbuild@localhost>}
Installed-Size: $(du --apparent-size -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: $libraries, $(join "${depends[@]}")
Recommends: $(join "${recommends[@]}")
Description: takes a system-call patch to a tested Linux kernel
 One command applies patches to a Linux source, configures and builds the kernel,
 boots it in QEMU or as user-mode Linux, runs test programs in the guest, and
 reports: text, JSON, JUnit, annotations and an exit code.
 .
 A Swift toolchain, 6.3 or later, builds suites in Swift. Debian 12 has no package
 of one; "kbuild doctor" says whether it is found. Tests in C, KTAP, kselftest and
 KUnit need none.
CONTROL
(cd "$root" && find . -type f -not -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' md5sum) \
    >"$root/DEBIAN/md5sums"
chmod -R u=rwX,go=rX "$root"
# Stronger compression takes most of a minute, for little gain.
dpkg-deb -Zxz -z1 --root-owner-group --build "$root" "$output" >/dev/null
echo "$output"
